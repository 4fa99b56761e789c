//! Where settings come from: defaults, a file, the environment, flags.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{DEFINITIONS, Definition, Settings};

/// What the operator said, before it is checked.
#[derive(Debug, Default)]
pub struct Sources {
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// Reads an environment variable. A function, so that tests need not touch the real environment.
    pub environment: Option<fn(&str) -> Option<OsString>>,
    /// The flags given: each definition's key with its values.
    pub flags: Vec<(&'static str, Vec<String>)>,
}

/// A setting that can't be used. The text names where it stands, what is wrong, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file can't be read.
    #[error("cannot read the configuration file {}: {source}; name another with --config, or none", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("the configuration file {} is not valid TOML: {source}", path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// The file has a key that no setting has.
    #[error("unknown setting '{key}' in {}; docs/configuration.md lists those that exist", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key, with its tables.
        key: String,
    },
    /// A value is out of its bounds.
    #[error("setting '{key}' ({given_by}): {problem}")]
    Value {
        /// The setting.
        key: String,
        /// Who gave the value: a flag, a variable or the file.
        given_by: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Sources {
    /// Puts the sources together: flags over environment over file over defaults.
    ///
    /// # Errors
    /// [`SettingsError`] for the first value that can't be used.
    pub fn load(&self) -> Result<Settings, SettingsError> {
        let mut settings = Settings::default();
        if let Some(path) = &self.file {
            apply_file(&mut settings, path)?;
        }
        for definition in DEFINITIONS {
            self.apply_environment(&mut settings, definition)?;
        }
        for (key, values) in &self.flags {
            let definition = DEFINITIONS.iter().find(|definition| definition.key == *key);
            let definition = definition.expect("flags are made from the definitions");
            set(&mut settings, definition, values, || format!("--{}", definition.flag))?;
        }
        Ok(settings)
    }

    fn apply_environment(
        &self,
        settings: &mut Settings,
        definition: &Definition,
    ) -> Result<(), SettingsError> {
        let variable = definition.variable();
        let Some(value) = self.environment.and_then(|read| read(&variable)) else { return Ok(()) };
        let value = value.into_string().map_err(|_| SettingsError::Value {
            key: definition.key.to_owned(),
            given_by: variable.clone(),
            problem: "the value is not UTF-8".to_owned(),
        })?;
        let values = match (definition.is_list(), value.as_str()) {
            (true, "") => Vec::new(),
            (true, list) => list.split(',').map(|item| item.trim().to_owned()).collect(),
            (false, _) => vec![value],
        };
        set(settings, definition, &values, || variable)
    }
}

fn apply_file(settings: &mut Settings, path: &Path) -> Result<(), SettingsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?;
    let table = text
        .parse::<toml::Table>()
        .map_err(|source| SettingsError::NotToml { path: path.to_owned(), source: Box::new(source) })?;
    apply_table(settings, path, "", &table)
}

fn apply_table(
    settings: &mut Settings,
    path: &Path,
    prefix: &str,
    table: &toml::Table,
) -> Result<(), SettingsError> {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if let Some(definition) = DEFINITIONS.iter().find(|definition| definition.key == key) {
            let given_by = || path.display().to_string();
            let values = texts(definition, value).map_err(|problem| SettingsError::Value {
                key: key.clone(),
                given_by: given_by(),
                problem,
            })?;
            set(settings, definition, &values, given_by)?;
        } else {
            match value {
                toml::Value::Table(inner) if is_group(&key) => apply_table(settings, path, &key, inner)?,
                _ => return Err(SettingsError::UnknownKey { path: path.to_owned(), key }),
            }
        }
    }
    Ok(())
}

/// Whether some setting lies in the table `key`.
fn is_group(key: &str) -> bool {
    DEFINITIONS
        .iter()
        .any(|definition| definition.key.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
}

/// A value of the file as the texts that a flag would give. A table stands for `name:value` pairs.
fn texts(definition: &Definition, value: &toml::Value) -> Result<Vec<String>, String> {
    match value {
        toml::Value::Array(items) if definition.is_list() => items.iter().map(text).collect(),
        toml::Value::Table(pairs) if definition.is_list() => {
            pairs.iter().map(|(name, value)| Ok(format!("{name}:{}", text(value)?))).collect()
        }
        _ => Ok(vec![text(value)?]),
    }
}

fn text(value: &toml::Value) -> Result<String, String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        other => Err(format!("a {} cannot be used here", other.type_str())),
    }
}

fn set(
    settings: &mut Settings,
    definition: &Definition,
    values: &[String],
    given_by: impl FnOnce() -> String,
) -> Result<(), SettingsError> {
    definition.assign(settings, values).map_err(|problem| SettingsError::Value {
        key: definition.key.to_owned(),
        given_by: given_by(),
        problem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
        file: &str,
        environment: fn(&str) -> Option<OsString>,
        flags: &[(&'static str, &str)],
    ) -> Result<Settings, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("forebay.toml");
        std::fs::write(&path, file).unwrap();
        let flags = flags.iter().map(|(key, value)| (*key, vec![(*value).to_owned()])).collect();
        Sources { file: Some(path), environment: Some(environment), flags }
            .load()
            .map_err(|error| error.to_string())
    }

    #[test]
    fn flag_beats_variable_beats_file_beats_default() {
        fn environment(name: &str) -> Option<OsString> {
            matches!(name, "FOREBAY_AMQP_HEARTBEAT_S" | "FOREBAY_AMQP_CHANNEL_MAX").then(|| "20".into())
        }
        let file = "[amqp]\nheartbeat_s = 10\nchannel_max = 10\nframe_max_bytes = 10000";
        let settings = load(file, environment, &[("amqp.heartbeat_s", "30")]).unwrap();
        assert_eq!(settings.amqp.heartbeat_s, 30);
        assert_eq!(settings.amqp.channel_max, 20);
        assert_eq!(settings.amqp.frame_max_bytes, 10_000);
        assert_eq!(settings.amqp.message_bytes_max, 134_217_728);
    }

    #[test]
    fn lists_come_from_arrays_and_from_commas() {
        fn environment(name: &str) -> Option<OsString> {
            (name == "FOREBAY_AMQP").then(|| "127.0.0.1:1, 127.0.0.1:2".into())
        }
        let settings = load("vhosts = ['/', 'b']\n", environment, &[]).unwrap();
        assert_eq!(settings.vhosts, ["/", "b"]);
        assert_eq!(settings.amqp.listen.addresses, ["127.0.0.1:1", "127.0.0.1:2"]);
        assert!(settings.amqp.listen.asked_for);
        assert!(!settings.http.listen.asked_for);
    }

    #[test]
    fn unknown_keys_are_named() {
        for (file, key) in
            [("colour = 1", "colour"), ("[amqp]\ncolour = 1", "amqp.colour"), ("[tea]\nmilk = 1", "tea")]
        {
            let error = load(file, |_| None, &[]).unwrap_err();
            assert!(error.starts_with(&format!("unknown setting '{key}' in ")), "{error}");
        }
    }

    #[test]
    fn a_wrong_value_names_setting_place_and_bounds() {
        let error = load("[amqp]\nchannel_max = 0", |_| None, &[]).unwrap_err();
        assert!(error.starts_with("setting 'amqp.channel_max' ("), "{error}");
        assert!(error.ends_with("'0' is not a number of channels between 1 and 65535"), "{error}");
        assert!(
            load("[log]\nlevel = true", |_| None, &[]).unwrap_err().contains("a boolean cannot be used here")
        );
        assert!(load("[log", |_| None, &[]).unwrap_err().contains("not valid TOML"));
    }

    #[test]
    fn users_are_a_table_in_the_file() {
        let file = "[users]\nalice = 'kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR'";
        let settings = load(file, |_| None, &[]).unwrap();
        let peer = "192.0.2.1".parse().unwrap();
        assert!(settings.users.authenticate("alice", b"test12", peer).is_ok());
    }
}
