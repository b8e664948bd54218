//! Reads and unpacks files under size caps.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use ruzstd::decoding::StreamingDecoder;
use serde::de::DeserializeOwned;

use super::RecordedError;

/// The largest file we open, in bytes.
pub const FILE_BYTES_MAX: u64 = 64 << 20;
/// The largest file after unpacking, in bytes; a zstd frame can unpack to any multiple of its size.
pub const UNPACKED_BYTES_MAX: u64 = 256 << 20;

/// The text of `path`, unpacked if its name ends in `.zst`.
pub(crate) fn text(path: &Path) -> Result<String, RecordedError> {
    let unreadable = |source| RecordedError::Unreadable { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.len() > FILE_BYTES_MAX {
        return Err(RecordedError::TooLarge { path: path.to_owned(), limit: FILE_BYTES_MAX });
    }
    let mut packed = Vec::new();
    file.by_ref().take(FILE_BYTES_MAX).read_to_end(&mut packed).map_err(unreadable)?;
    let zstd = path.extension().is_some_and(|it| it == "zst");
    let bytes = if zstd { unpack(path, &packed)? } else { packed };
    String::from_utf8(bytes).map_err(|error| RecordedError::malformed(path, error.utf8_error()))
}

/// The JSON of `path`.
pub(super) fn json<T: DeserializeOwned>(path: &Path) -> Result<T, RecordedError> {
    parse(path, &text(path)?)
}

/// Parses the JSON `text` of `path`.
pub(super) fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, RecordedError> {
    serde_json::from_str(text).map_err(|error| RecordedError::malformed(path, error))
}

fn unpack(path: &Path, packed: &[u8]) -> Result<Vec<u8>, RecordedError> {
    let decoder =
        StreamingDecoder::new(packed).map_err(|error| RecordedError::malformed(path, error))?;
    let mut bytes = Vec::new();
    let copied = io::copy(&mut decoder.take(UNPACKED_BYTES_MAX + 1), &mut bytes)
        .map_err(|error| RecordedError::malformed(path, error))?;
    if copied > UNPACKED_BYTES_MAX {
        return Err(RecordedError::TooLarge { path: path.to_owned(), limit: UNPACKED_BYTES_MAX });
    }
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use std::{fs, path::Path};

    use super::{json, text};
    use crate::recorded::RecordedError;

    #[test]
    fn a_missing_a_mangled_and_an_unparsable_file_are_told_apart() {
        let folder = std::env::temp_dir().join(format!("cofferdam-file-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (packed, plain) = (folder.join("a.json.zst"), folder.join("a.json"));
        fs::write(&packed, b"\x28\xb5\x2f\xfd not a frame").unwrap();
        fs::write(&plain, b"[").unwrap();
        let missing = text(Path::new("/nowhere/at/all"));
        assert!(matches!(missing, Err(RecordedError::Unreadable { .. })));
        assert!(matches!(text(&packed), Err(RecordedError::Malformed { .. })));
        let parsed = json::<Vec<u8>>(&plain);
        assert!(parsed.is_err_and(|it| it.to_string().contains("a.json is malformed: EOF")));
        fs::remove_dir_all(&folder).unwrap();
    }
}
