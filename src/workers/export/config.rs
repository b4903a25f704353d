//! `[exports]`: where agents may write archives.

use std::path::PathBuf;

use anyhow::ensure;
use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExportsConfig {
    /// Directories that exports may be written into; empty: none, and exports can only be downloaded.
    pub directories: Vec<PathBuf>,
}

impl ExportsConfig {
    pub fn validate(&self) -> anyhow::Result<()> {
        for directory in &self.directories {
            let plain = directory.is_absolute() && directory.to_str().is_some();
            ensure!(plain, "exports.directories has {}, which is not an absolute path", directory.display());
        }
        Ok(())
    }

    /// Whether this is one of the directories, as they are written in the configuration.
    pub fn allows(&self, wanted: &str) -> bool {
        self.directories.iter().any(|directory| directory.to_str() == Some(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_allowed_only_as_it_is_configured() {
        let config = ExportsConfig { directories: vec!["/srv/exports".into()] };

        assert!(config.validate().is_ok() && config.allows("/srv/exports"));
        for other in ["/srv/exports/../x", "/srv", "/srv/exports/below", ""] {
            assert!(!config.allows(other), "{other}");
        }
        assert!(ExportsConfig { directories: vec!["exports".into()] }.validate().is_err());
    }
}
