//! The limits that the peers agree on: `tune` and `tune-ok`.

use amqp_wire::{FRAME_MAX_BEFORE_TUNE, MethodArguments, ReplyCode, connection};

use crate::Settings;
use crate::error::Failure;

/// The limits in force on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The largest frame in bytes, overhead included; 0 for no limit.
    pub(crate) frame_max: u32,
    /// How many channels may be open; 0 for no limit.
    pub(crate) channel_max: u16,
    /// The heartbeat interval in seconds; 0 for none.
    pub(crate) heartbeat_s: u16,
}

impl Limits {
    /// What holds until the client has answered.
    pub(crate) const BEFORE_TUNE: Self =
        Self { frame_max: FRAME_MAX_BEFORE_TUNE, channel_max: 0, heartbeat_s: 0 };

    /// What the server offers.
    pub(crate) fn offer(settings: &Settings) -> connection::Tune {
        let &Settings { channel_max, frame_max, heartbeat_s, .. } = settings;
        connection::Tune { channel_max, frame_max, heartbeat: heartbeat_s }
    }

    /// Checks the client's answer against the offer. As in RabbitMQ the answer is taken or refused, never adjusted,
    /// and the client's heartbeat rules.
    pub(crate) fn agree(settings: &Settings, answer: &connection::TuneOk) -> Result<Self, Failure> {
        let &connection::TuneOk { channel_max, frame_max, heartbeat } = answer;
        check("frame_max", frame_max, Settings::FRAME_MAX_LEAST, settings.frame_max)?;
        check("channel_max", channel_max.into(), 1, settings.channel_max.into())?;
        Ok(Self { frame_max, channel_max, heartbeat_s: heartbeat })
    }
}

/// `least` does not bind the answer 0, which means no limit and is right only where none was offered.
fn check(field: &str, answer: u32, least: u32, offered: u32) -> Result<(), Failure> {
    let detail = if answer == 0 && field == "channel_max" { " (no limit)" } else { "" };
    let refuse = |comparison: &str, bound: &str, limit: u32| {
        let text = format!(
            "negotiated {field} = {answer}{detail} is {comparison} than the {bound} allowed value ({limit})"
        );
        Err(Failure::new(ReplyCode::NotAllowed, text).of(connection::Tune::SPEC.id))
    };
    if answer != 0 && answer < least {
        return refuse("lower", "minimum", least);
    }
    if offered != 0 && (answer == 0 || answer > offered) {
        return refuse("higher", "maximum", offered);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_answer(channel_max: u16, frame_max: u32, expected: Result<(), &str>) {
        let answer = connection::TuneOk { channel_max, frame_max, heartbeat: 7 };
        let agreed = Limits::agree(&Settings::default(), &answer);
        let expected = match expected {
            Ok(()) => Ok(Limits { frame_max, channel_max, heartbeat_s: 7 }),
            Err(text) => Err(Failure::new(ReplyCode::NotAllowed, text)
                .of(amqp_wire::MethodId { class_id: 10, method_id: 30 })),
        };
        assert_eq!(agreed, expected);
    }

    #[test]
    fn answers_within_the_offer_are_taken() {
        check_answer(2047, 131_072, Ok(()));
        check_answer(1, 4096, Ok(()));
    }

    #[test]
    fn answers_outside_are_refused_in_rabbitmqs_words() {
        let no_limit =
            "negotiated channel_max = 0 (no limit) is higher than the maximum allowed value (2047)";
        check_answer(0, 131_072, Err(no_limit));
        check_answer(
            2048,
            4096,
            Err("negotiated channel_max = 2048 is higher than the maximum allowed value (2047)"),
        );
        check_answer(1, 0, Err("negotiated frame_max = 0 is higher than the maximum allowed value (131072)"));
        check_answer(
            1,
            131_073,
            Err("negotiated frame_max = 131073 is higher than the maximum allowed value (131072)"),
        );
        check_answer(
            1,
            4095,
            Err("negotiated frame_max = 4095 is lower than the minimum allowed value (4096)"),
        );
    }
}
