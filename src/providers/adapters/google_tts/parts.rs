//! Long texts: cut into parts that end with a sentence, and the sound of the parts put together.
//!
//! MP3 frames and Ogg streams may simply follow one another; WAV files need one header for all.

/// Cuts a text into parts of at most `limit` bytes: after a sentence where there is one, else at a blank, else
/// between two characters.
pub(super) fn split(text: &str, limit: usize) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text.trim());
    while rest.len() > limit {
        let end = rest.floor_char_boundary(limit).max(1);
        let head = &rest[..end];
        let cut = after_last(head, &['.', '!', '?', '。', '！', '？', '\n'])
            .or_else(|| after_last(head, &[' ', '\t']))
            .unwrap_or(end);
        parts.push(rest[..cut].trim());
        rest = rest[cut..].trim_start();
    }
    parts.push(rest);
    parts.retain(|part| !part.is_empty());
    parts
}

fn after_last(text: &str, ends: &[char]) -> Option<usize> {
    text.char_indices().rev().find(|(_, c)| ends.contains(c)).map(|(at, c)| at + c.len_utf8())
}

/// One WAV file with the samples of all; the first one's header tells their form.
pub(super) fn join_wav(files: &[Vec<u8>]) -> Vec<u8> {
    let [first, rest @ ..] = files else { return Vec::new() };
    let Some(start) = samples(first).filter(|_| !rest.is_empty()) else { return first.clone() };
    let mut joined = first.clone();
    for file in rest {
        joined.extend_from_slice(samples(file).map_or(&[], |start| &file[start..]));
    }
    // The two lengths of the header: everything after the first eight bytes, and the samples.
    let total = u32::try_from(joined.len() - 8).unwrap_or(u32::MAX);
    let sound = u32::try_from(joined.len() - start).unwrap_or(u32::MAX);
    joined[4..8].copy_from_slice(&total.to_le_bytes());
    joined[start - 4..start].copy_from_slice(&sound.to_le_bytes());
    joined
}

/// Where the samples begin, if this is a WAV file.
fn samples(file: &[u8]) -> Option<usize> {
    if file.get(..4)? != b"RIFF" || file.get(8..12)? != b"WAVE" {
        return None;
    }
    let mut at = 12;
    loop {
        let (name, size) = (file.get(at..at + 4)?, file.get(at + 4..at + 8)?);
        if name == b"data" {
            return Some(at + 8);
        }
        let size = u32::from_le_bytes(size.try_into().ok()?) as usize;
        at = at.checked_add(8)?.checked_add(size)?.checked_add(size % 2)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_after_sentences_and_never_within_a_character() {
        assert_eq!(split("One. Two. Three.", 10), ["One. Two.", "Three."]);
        assert_eq!(split("one two three", 8), ["one two", "three"]);
        assert_eq!(split("กกกก", 7), ["กก", "กก"]);
        assert_eq!(split("short", 10), ["short"]);
    }

    #[test]
    fn wav_files_get_one_header() {
        let wav = |sound: &[u8]| {
            let mut file = b"RIFF\0\0\0\0WAVEfmt \x02\0\0\0xxdata\0\0\0\0".to_vec();
            file.extend_from_slice(sound);
            file
        };
        let joined = join_wav(&[wav(b"abcd"), wav(b"ef")]);
        assert_eq!(&joined[joined.len() - 6..], b"abcdef");
        assert_eq!(joined[joined.len() - 10..joined.len() - 6], 6_u32.to_le_bytes());
    }
}
