//! The table of contents of a custom-format archive, read without pg_restore.
//!
//! Formats 1.14 to 1.16 (pg_dump 12 to 18) are length-prefixed throughout, so nothing that a name or a
//! function body holds can be taken for structure. Anything else is refused. The reference is
//! `pg_backup_archiver.c`: `ReadHead`, `ReadToc`, `ReadInt`, `ReadStr`, and `_ReadExtraToc` of the custom format.

use std::borrow::Cow;

use crate::error::Error;

/// A section of an archive, in pg_dump's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    PreData,
    Data,
    PostData,
}

impl Section {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::PreData => "pre-data",
            Self::Data => "data",
            Self::PostData => "post-data",
        }
    }
}

/// One entry: an object, or a property of one that pg_dump restores by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) dump_id: i32,
    /// OID of the system catalogue that holds the object, 0 where pg_dump gives none.
    pub(crate) catalog_oid: u32,
    /// OID of the object on the source, 0 where pg_dump gives none.
    pub(crate) oid: u32,
    /// The name as `pg_restore --list` shows it, unescaped.
    pub(crate) tag: String,
    /// What it is, such as `TABLE` or `FK CONSTRAINT`.
    pub(crate) desc: String,
    /// Its own section, or for what has none (comments) the one that it stands in, as pg_restore takes it.
    pub(crate) section: Section,
    /// The statements that create it.
    pub(crate) definition: String,
    /// The schema, empty for a schema itself.
    pub(crate) namespace: String,
    /// The table access method that has to be the default while the statements run; empty where none matters.
    pub(crate) access_method: String,
    /// The role that it belongs to.
    pub(crate) owner: String,
    /// Schemas of operators that the statements may name without their schema; read from the source, not from here.
    pub(crate) operators: Vec<String>,
    /// Entries that have to be restored before this one.
    pub(crate) dependencies: Vec<i32>,
}

impl Entry {
    /// Whether it is about the archive, or about the database, which pg_restore leaves as it is unless it is told `--create`.
    pub(crate) fn is_of_database(&self) -> bool {
        match self.desc.as_str() {
            "ENCODING" | "STDSTRINGS" | "SEARCHPATH" | "DATABASE" | "DATABASE PROPERTIES" => true,
            "ACL" | "COMMENT" | "SECURITY LABEL" => self.tag.starts_with("DATABASE "),
            _ => false,
        }
    }
}

/// Reads the table of contents at the head of `archive`, whose names are in UTF-8.
pub(crate) fn read(archive: &[u8]) -> Result<Vec<Entry>, Error> {
    Reader::new(archive, false).entries()
}

/// How many bytes the table of contents at the head of `archive` takes, in whatever encoding; `None` if it has not ended yet.
pub(crate) fn length(archive: &[u8]) -> Result<Option<usize>, Error> {
    let mut reader = Reader::new(archive, true);
    match reader.entries() {
        Ok(_) => Ok(Some(archive.len() - reader.rest.len())),
        Err(Error::Archive(reason)) if reason == CUT => Ok(None),
        Err(error) => Err(error),
    }
}

const CUT: &str = "it ends too early";

struct Reader<'a> {
    rest: &'a [u8],
    int_size: usize,
    offset_size: usize,
    /// Names may be in another encoding than UTF-8.
    any_encoding: bool,
}

impl<'a> Reader<'a> {
    fn new(archive: &'a [u8], any_encoding: bool) -> Self {
        Self {
            rest: archive,
            int_size: 0,
            offset_size: 0,
            any_encoding,
        }
    }

    fn entries(&mut self) -> Result<Vec<Entry>, Error> {
        let version = self.head()?;
        let count = self.int()?;
        let mut entries = Vec::new();
        let mut section = Section::PreData;
        for _ in 0..count {
            let entry = self.entry(version, section)?;
            section = entry.section;
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Everything before the number of entries; returns the minor version of format 1.
    fn head(&mut self) -> Result<u8, Error> {
        const CUSTOM_FORMAT: u8 = 1;
        if self.bytes(5)? != b"PGDMP" {
            return Err(refused("it does not begin with PGDMP"));
        }
        let (major, minor, _revision) = (self.byte()?, self.byte()?, self.byte()?);
        if major != 1 || !(14..=16).contains(&minor) {
            return Err(Error::Archive(format!(
                "format {major}.{minor} is not between 1.14 and 1.16"
            )));
        }
        self.int_size = usize::from(self.byte()?);
        self.offset_size = usize::from(self.byte()?);
        if !(1..=8).contains(&self.int_size) || !(1..=8).contains(&self.offset_size) {
            return Err(refused("its integers have an impossible size"));
        }
        if self.byte()? != CUSTOM_FORMAT {
            return Err(refused("it is not in custom format"));
        }
        if minor >= 15 {
            self.byte()?; // compression algorithm
        } else {
            self.int()?; // compression level
        }
        for _creation_time in 0..7 {
            self.int()?;
        }
        for _dbname_and_versions in 0..3 {
            self.text()?;
        }
        Ok(minor)
    }

    fn entry(&mut self, version: u8, current: Section) -> Result<Entry, Error> {
        let dump_id = self.id()?;
        self.int()?; // whether a data dumper exists
        let catalog_oid = self.oid()?;
        let oid = self.oid()?;
        let tag = self.text()?.unwrap_or_default();
        let desc = self.text()?.unwrap_or_default();
        let section = match self.int()? {
            2 => Section::PreData,
            3 => Section::Data,
            4 => Section::PostData,
            _ => current,
        };
        let definition = self.text()?.unwrap_or_default();
        self.text()?; // drop statement
        self.text()?; // copy statement
        let namespace = self.text()?.unwrap_or_default();
        self.text()?; // tablespace
        let access_method = self.text()?.unwrap_or_default();
        if version >= 16 {
            self.int()?; // relkind
        }
        let owner = self.text()?.unwrap_or_default();
        self.text()?; // with OIDs, always "false"
        let mut dependencies = Vec::new();
        while let Some(id) = self.text()? {
            dependencies.push(
                id.trim()
                    .parse()
                    .ok()
                    .ok_or_else(|| refused("a dependency is not a number"))?,
            );
        }
        self.bytes(1 + self.offset_size)?; // state and place of the entry's data
        Ok(Entry {
            dump_id,
            catalog_oid,
            oid,
            tag,
            desc,
            section,
            definition,
            namespace,
            access_method,
            owner,
            operators: Vec::new(),
            dependencies,
        })
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| refused(CUT))?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.bytes(1)?.iter().copied().sum())
    }

    /// A sign byte, then the magnitude, least significant byte first.
    fn int(&mut self) -> Result<i64, Error> {
        let negative = self.byte()? != 0;
        let mut magnitude: u64 = 0;
        for byte in self.bytes(self.int_size)?.iter().rev() {
            magnitude = magnitude << 8 | u64::from(*byte);
        }
        let value = i64::try_from(magnitude)
            .ok()
            .ok_or_else(|| refused("an integer is too large"))?;
        Ok(if negative { -value } else { value })
    }

    fn id(&mut self) -> Result<i32, Error> {
        i32::try_from(self.int()?)
            .ok()
            .ok_or_else(|| refused("an entry's number is too large"))
    }

    fn oid(&mut self) -> Result<u32, Error> {
        let text = self.text()?.unwrap_or_default();
        text.trim()
            .parse()
            .ok()
            .ok_or_else(|| refused("an OID is not a number"))
    }

    /// A length and that many bytes; a negative length is NULL.
    fn text(&mut self) -> Result<Option<String>, Error> {
        let Ok(length) = usize::try_from(self.int()?) else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(self.bytes(length)?);
        if matches!(text, Cow::Owned(_)) && !self.any_encoding {
            return Err(refused("a name is not UTF-8"));
        }
        Ok(Some(text.into_owned()))
    }
}

fn refused(reason: &str) -> Error {
    Error::Archive(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_input_makes_the_reader_panic(tail in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut archive = b"PGDMP\x01\x0e\x00\x04\x08\x01".to_vec();
            archive.extend(tail);
            read(&archive).ok();
        }

        /// Lengths and numbers that were right until one byte changed.
        #[test]
        fn no_change_makes_the_reader_panic(
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
            length in any::<proptest::sample::Index>(),
        ) {
            let mut archive = small_archive();
            for (place, byte) in changes {
                *place.get_mut(&mut archive) = byte;
            }
            read(&archive).ok();
            archive.truncate(length.index(archive.len()));
            read(&archive).ok();
        }
    }

    /// Format 1.14, as pg_dump 15 writes it: two entries.
    fn small_archive() -> Vec<u8> {
        let int = |value: i32| {
            let mut bytes = vec![u8::from(value < 0)];
            bytes.extend(value.unsigned_abs().to_le_bytes());
            bytes
        };
        let text = |text: &str| [int(i32::try_from(text.len()).unwrap()), text.as_bytes().to_vec()].concat();
        let mut archive = b"PGDMP\x01\x0e\x00\x04\x08\x01".to_vec();
        // Compression, seven fields of time, database, two versions, the number of entries.
        archive.extend(
            [
                int(0),
                int(0).repeat(7),
                text("d"),
                text("15"),
                text("15"),
                int(2),
            ]
            .concat(),
        );
        for number in 1..=2 {
            archive.extend(
                [
                    int(number),
                    int(0),
                    text("1259"),
                    text("16385"),
                    text("t"),
                    text("TABLE"),
                    int(2),
                ]
                .concat(),
            );
            archive.extend(
                [
                    text("CREATE TABLE s.t ();"),
                    text("DROP TABLE s.t;"),
                    int(-1),
                    text("s"),
                ]
                .concat(),
            );
            archive.extend(
                [
                    int(-1),
                    text("heap"),
                    text("postgres"),
                    text("false"),
                    text("1"),
                    int(-1),
                ]
                .concat(),
            );
            archive.extend([3; 9]);
        }
        archive
    }

    #[test]
    fn the_small_archive_is_one_and_ends_where_it_ends() {
        let mut archive = small_archive();
        assert_eq!(read(&archive).unwrap().len(), 2);
        let end = archive.len();
        for cut in 5..end {
            assert_eq!(length(&archive[..cut]).unwrap(), None);
        }
        archive.extend(b"rows");
        assert_eq!(length(&archive).unwrap(), Some(end));
    }

    #[test]
    fn another_format_is_refused() {
        for head in [
            &b"PGDMP\x01\x0d\x00\x04\x08\x01"[..],
            b"PGDMP\x02\x00\x00\x04\x08\x01",
            b"-- SQL",
            b"",
        ] {
            assert!(matches!(read(head), Err(Error::Archive(_))), "{head:?}");
        }
    }

    /// `pg_restore --list` is the oracle, for the archives of every installed major.
    #[test]
    fn entries_are_those_of_pg_restore() {
        for server in testbed::Server::all() {
            let cluster = testbed::Cluster::start(&server);
            cluster.create_database("warehouse");
            testbed::warehouse::fill(&cluster, "warehouse");
            let odd =
                "CREATE SCHEMA \"odd; -- name\"; CREATE TABLE \"odd; -- name\".\"t\nt\" (a int PRIMARY KEY);
                       COMMENT ON TABLE \"odd; -- name\".\"t\nt\" IS 'PGDMP'";
            cluster.psql("warehouse", odd);
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("archive");
            let dump = cluster
                .client("pg_dump", "warehouse")
                .arg("-Fc")
                .arg("-f")
                .arg(&path)
                .output()
                .unwrap();
            assert!(dump.status.success(), "{dump:?}");
            let list = cluster
                .client("pg_restore", "warehouse")
                .arg("--list")
                .arg(&path)
                .output()
                .unwrap();
            let list = String::from_utf8(list.stdout).unwrap();
            let listed: Vec<&str> = list.lines().filter(|line| !line.starts_with(';')).collect();
            let entries = read(&std::fs::read(&path).unwrap()).unwrap();
            let script = cluster
                .client("pg_restore", "warehouse")
                .arg("--file=-")
                .arg(&path)
                .output()
                .unwrap();
            let script = String::from_utf8(script.stdout).unwrap();
            for entry in &entries {
                let scripted =
                    !["ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE"].contains(&entry.desc.as_str());
                assert!(!scripted || script.contains(entry.definition.trim()), "{entry:?}");
            }
            // What pg_restore lists only with --create.
            let settings = ["ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE"];
            let entries: Vec<&Entry> = entries
                .iter()
                .filter(|entry| !settings.contains(&entry.desc.as_str()))
                .collect();
            let known = |entry: &&&Entry| {
                listed
                    .iter()
                    .any(|line| line.starts_with(&format!("{};", entry.dump_id)))
            };
            let unknown: Vec<_> = entries.iter().filter(|entry| !known(entry)).collect();
            assert!(unknown.is_empty(), "{unknown:?}");
            assert_eq!(entries.len(), listed.len());
            assert!(entries.len() > 100, "{}", entries.len());
            for (entry, line) in entries.iter().zip(listed) {
                let namespace = if entry.namespace.is_empty() {
                    "-"
                } else {
                    &entry.namespace
                };
                let expected = format!(
                    "{}; {} {} {} {namespace} {} ",
                    entry.dump_id,
                    entry.catalog_oid,
                    entry.oid,
                    entry.desc,
                    entry.tag.replace('\n', " ")
                );
                assert!(line.starts_with(&expected), "{line}\n{expected}");
            }
        }
    }
}
