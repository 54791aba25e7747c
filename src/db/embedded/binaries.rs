//! Finds the PostgreSQL server programs installed on this machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

/// The oldest major version that serves us.
const OLDEST: u32 = 13;

/// Where distributions and installers put a version's programs: a folder, what the version's folder starts with, and
/// where below it the programs are.
const HOMES: &[(&str, &str, &str)] = &[
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/usr/local", "pgsql", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
];

/// The folder of one installed version's programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    dir: PathBuf,
    major: u32,
}

impl Binaries {
    /// The newest usable version, or the one that made an existing cluster.
    pub(super) fn find(cluster: Option<u32>) -> anyhow::Result<Self> {
        choose(folders().iter().filter_map(|dir| Self::at(dir)).collect(), cluster)
    }

    /// The path of one program.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn at(dir: &Path) -> Option<Self> {
        if !dir.join("initdb").is_file() {
            return None;
        }
        let told = Command::new(dir.join("postgres")).arg("--version").output().ok()?;
        let major = major_version(&String::from_utf8_lossy(&told.stdout))?;
        Some(Self { dir: dir.to_owned(), major })
    }
}

fn choose(mut found: Vec<Binaries>, cluster: Option<u32>) -> anyhow::Result<Binaries> {
    found.retain(|binaries| binaries.major >= OLDEST);
    if let Some(major) = cluster
        && !found.is_empty()
    {
        return found.into_iter().find(|binaries| binaries.major == major).with_context(|| {
            format!("the private database was made by PostgreSQL {major}, which is not installed any more (`apt-get install postgresql-{major}`)")
        });
    }
    let Some(newest) = found.into_iter().max_by_key(|binaries| binaries.major) else {
        bail!(
            "no PostgreSQL server ({OLDEST} or newer) is installed on this machine: \
             install one (`apt-get install postgresql`) or set DATABASE_URL"
        );
    };
    Ok(newest)
}

fn folders() -> Vec<PathBuf> {
    let pg_config = env::var_os("PG_CONFIG").unwrap_or_else(|| "pg_config".into());
    let told = Command::new(pg_config).arg("--bindir").output().ok().filter(|out| out.status.success());
    let told = told.map(|out| PathBuf::from(String::from_utf8_lossy(&out.stdout).trim()));
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = told.into_iter().chain(HOMES.iter().flat_map(homes)).collect();
    folders.extend(env::split_paths(&path));
    let mut seen = Vec::new();
    folders.retain(|dir| {
        let real = fs::canonicalize(dir).unwrap_or_default();
        let new = !seen.contains(&real);
        seen.push(real);
        new
    });
    folders
}

fn homes(&(parent, prefix, below): &(&str, &str, &str)) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    named.map(|entry| entry.path().join(below)).collect()
}

/// The major version in the answer to `postgres --version`: `postgres (PostgreSQL) 15.18 (Debian …)`.
fn major_version(text: &str) -> Option<u32> {
    let version = text.split_once("(PostgreSQL) ")?.1;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(majors: &[u32]) -> Vec<Binaries> {
        majors.iter().map(|&major| Binaries { dir: format!("/{major}").into(), major }).collect()
    }

    #[test]
    fn versions_are_read_from_the_programs_own_words() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_version("something else\n"), None);
    }

    #[test]
    fn the_newest_version_is_taken_unless_a_cluster_names_its_own() {
        assert_eq!(choose(installed(&[12, 15, 17]), None).unwrap().major, 17);
        assert_eq!(choose(installed(&[12, 15, 17]), Some(15)).unwrap().major, 15);
    }

    #[test]
    fn a_missing_version_names_the_package_to_install() {
        let none = choose(installed(&[12]), None).unwrap_err().to_string();
        assert!(none.contains("apt-get install postgresql`") && none.contains("DATABASE_URL"), "{none}");
        let none = choose(vec![], Some(15)).unwrap_err().to_string();
        assert!(none.contains("DATABASE_URL"), "{none}");
        let other = choose(installed(&[17]), Some(15)).unwrap_err().to_string();
        assert!(other.contains("postgresql-15"), "{other}");
    }
}
