//! `man`: the man pages, made from the declaration of the command line.

use super::args::{Cli, ManArgs};
use clap::CommandFactory;
use std::io::Write;

/// Prints the page asked for, or writes all.
///
/// # Errors
/// A sentence.
pub(super) fn print(args: &ManArgs) -> Result<(), String> {
    let mut cli = Cli::command();
    cli.build();
    if let Some(dir) = &args.dir {
        std::fs::create_dir_all(dir).map_err(|e| format!("{} cannot be made: {e}", dir.display()))?;
        return clap_mangen::generate_to(Cli::command(), dir)
            .map_err(|e| format!("the man pages cannot be written to {}: {e}", dir.display()));
    }
    let page = page(&cli, args.command.as_deref())?;
    // A reader that has gone (`| head`) is no failure.
    let _ = std::io::stdout().lock().write_all(&page);
    Ok(())
}

/// One page in roff.
fn page(cli: &clap::Command, command: Option<&str>) -> Result<Vec<u8>, String> {
    let chosen = match command {
        None => cli,
        Some(name) => {
            cli.find_subcommand(name).ok_or_else(|| format!("there is no command {name}: see portreeve --help"))?
        }
    };
    let mut page = Vec::new();
    let name = command.map_or_else(|| "portreeve".to_owned(), |name| format!("portreeve-{name}"));
    clap_mangen::Man::new(chosen.clone().display_name(&name))
        .title(name)
        .render(&mut page)
        .map_err(|e| format!("the man page cannot be made: {e}"))?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::actions::ACTIONS;

    #[test]
    fn the_page_names_every_verb_and_the_exit_codes() {
        let mut cli = Cli::command();
        cli.build();
        let text = String::from_utf8(page(&cli, None).unwrap()).unwrap();
        for a in ACTIONS {
            assert!(text.contains(&format!("portreeve\\-{}", a.verb)), "{}", a.verb);
        }
        assert!(text.contains("Exit codes") && text.contains("forbidden"));
        let one = String::from_utf8(page(&cli, Some("revoke")).unwrap()).unwrap();
        assert!(one.contains("Block a host"), "{one}");
        assert!(page(&cli, Some("fly")).is_err());
    }

    #[test]
    fn all_pages_are_written() {
        let dir = tempfile::tempdir().unwrap();
        print(&ManArgs { command: None, dir: Some(dir.path().to_owned()) }).unwrap();
        assert!(dir.path().join("portreeve.1").exists());
        assert!(dir.path().join("portreeve-reconnect.1").exists());
    }
}
