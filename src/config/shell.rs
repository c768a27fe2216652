//! Words of commands that people copy into a shell.

/// The word, in single quotes where a shell would read it otherwise.
#[must_use]
pub fn quote(word: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | ':' | '=' | '@' | '%' | '+' | ',');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_the_word() {
        for word in ["portreeve-data/key", "with space", "it's", "$HOME", "", "a;b", "한글"] {
            let command = format!("printf %s {}", quote(word));
            let out = std::process::Command::new("sh").args(["-c", &command]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&out.stdout), word);
        }
        assert_eq!(quote("portreeve-data/key"), "portreeve-data/key");
    }
}
