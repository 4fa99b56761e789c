//! What a run leaves out of what its seed has chosen: how a failing run is made small, and told to others.

use std::fmt;
use std::str::FromStr;

use crate::client::Role;
use crate::plan::Plan;

/// Things that are left out, and a bound to what is done. Written as `operations=120,-Worker,-cuts`; empty for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Operations that clients begin, at most.
    pub operations_max: Option<u64>,
    /// Roles that nobody plays and faults that do not happen, by name.
    pub without: Vec<String>,
}

/// A fault by its name, and how it is left out.
type Fault = (&'static str, fn(&mut Plan));

const FAULTS: [Fault; 14] = [
    ("requesters", |plan| plan.requesters = 0),
    ("crashes", |plan| plan.faults.crash_every = 0),
    ("power-cuts", |plan| plan.faults.power_cut_percent = 0),
    ("torn-steps", |plan| plan.faults.torn_step_percent = 0),
    ("torn-renames", |plan| plan.faults.torn_rename_percent = 0),
    ("failing-writes", |plan| plan.faults.failing_write_percent = 0),
    ("failing-syncs", |plan| plan.faults.failing_sync_percent = 0),
    ("full-disks", |plan| plan.faults.fill_disk_every = 0),
    ("orderly-stops", |plan| plan.faults.orderly_stop_percent = 0),
    ("slow-syncs", |plan| plan.faults.sync_time_max = plan.faults.sync_time_max.min(1_000)),
    ("cuts", |plan| plan.faults.cut_line_every = 0),
    ("deafness", |plan| plan.faults.stop_reading_every = 0),
    ("jumps", |plan| plan.faults.jump_every = 0),
    ("garbage", |plan| plan.faults.garbage = false),
];

impl Limits {
    /// The names of all that can be left out.
    #[must_use]
    pub fn names() -> Vec<String> {
        let roles = Role::ALL.iter().map(|role| format!("{role:?}"));
        roles.chain(FAULTS.iter().map(|(name, _)| (*name).to_owned())).collect()
    }

    /// The same with one thing less.
    #[must_use]
    pub fn and_without(&self, name: &str) -> Self {
        let mut limits = self.clone();
        limits.without.push(name.to_owned());
        limits
    }

    /// Makes a plan smaller.
    pub fn apply(&self, plan: &mut Plan) {
        if let Some(most) = self.operations_max {
            plan.operations_max = plan.operations_max.min(most);
        }
        for (count, role) in plan.roles.iter_mut().zip(Role::ALL) {
            if self.without.contains(&format!("{role:?}")) {
                *count = 0;
            }
        }
        for (name, leave_out) in FAULTS {
            if self.without.iter().any(|other| other == name) {
                leave_out(plan);
            }
        }
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operations = self.operations_max.map(|most| format!("operations={most}"));
        let without = self.without.iter().map(|name| format!("-{name}"));
        f.write_str(&operations.into_iter().chain(without).collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Limits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut limits = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            match (part.strip_prefix('-'), part.strip_prefix("operations=")) {
                (Some(name), _) if Self::names().iter().any(|known| known == name) => {
                    limits.without.push(name.to_owned());
                }
                (_, Some(number)) => {
                    let most =
                        number.parse().map_err(|_| format!("'{number}' is no number of operations"))?;
                    limits.operations_max = Some(most);
                }
                _ => {
                    return Err(format!(
                        "'{part}' is neither operations=N nor one of -{}",
                        Self::names().join(" -")
                    ));
                }
            }
        }
        Ok(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_read() {
        let limits = Limits { operations_max: Some(12), without: vec!["Worker".into(), "cuts".into()] };
        assert_eq!(limits.to_string(), "operations=12,-Worker,-cuts");
        assert_eq!(limits.to_string().parse(), Ok(limits));
        assert_eq!("".parse(), Ok(Limits::default()));
        assert!("-Nobody".parse::<Limits>().unwrap_err().contains("-Worker"));
    }
}
