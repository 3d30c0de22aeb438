//! Builds many mutants into one program, each behind a switch.
//!
//! cargo-mutants says what the mutants are, and would build the program anew for each. Here all of
//! them are written into the sources at once, mutant 17 behind `if crate::mutant::is(17)`, and the
//! environment says which one is on: `MUTANT=17`. So a mutant costs a run of the tests, not a build.
//!
//! ```text
//! websocksy-mutants list ALL            each mutant's number, place and name
//! websocksy-mutants weave ALL IDS TREE  writes those into the sources below TREE; prints what it cannot
//! websocksy-mutants blame TREE          which of them do not compile, by what Cargo says in JSON
//! ```
//! A name in IDS is that of a function that has to be `const`, so that no mutant can be in it.
//! ALL is what `cargo mutants --list --json` says; a mutant's number is its place there, from one on.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::{BufRead, stdin};
use std::path::Path;
use std::{env, fs};

use serde_json::Value;

mod weave;

use weave::{Mutant, weave};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What a woven source asks. `MUTANT_TRACE=FILE` writes down which mutant's place is reached by
/// which test: tests run on threads of their names.
const SWITCH: &str = include_str!("switch.rs");

fn main() -> Result<()> {
    let args: Vec<_> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["list", all] => list(all),
        ["weave", all, ids, tree] => weave_all(all, ids, Path::new(tree)),
        ["blame", tree] => blame(Path::new(tree)),
        _ => Err("usage: websocksy-mutants list ALL | weave ALL IDS TREE | blame TREE".into()),
    }
}

fn read(all: &str) -> Result<Vec<Value>> {
    Ok(serde_json::from_str(&fs::read_to_string(all)?)?)
}

fn list(all: &str) -> Result<()> {
    for (index, mutant) in read(all)?.iter().enumerate() {
        println!("{} {}", index + 1, mutant["name"].as_str().unwrap_or_default());
    }
    Ok(())
}

fn weave_all(all: &str, ids: &str, tree: &Path) -> Result<()> {
    let all = read(all)?;
    let mut files = BTreeMap::<&str, Vec<Mutant>>::new();
    let mut consts = Vec::new();
    for line in fs::read_to_string(ids)?.lines() {
        let Ok(id) = line.parse::<usize>() else {
            consts.push(line.to_owned());
            continue;
        };
        let mutant = id.checked_sub(1).and_then(|index| all.get(index)).ok_or("no such mutant")?;
        let file = mutant["file"].as_str().ok_or("a mutant without a file")?;
        files.entry(file).or_default().push(Mutant::new(id, mutant)?);
    }
    for (file, mutants) in files {
        let path = tree.join(file);
        let (woven, left_out) = weave(&fs::read_to_string(&path)?, &mutants, &consts)?;
        fs::write(path, woven)?;
        left_out.iter().for_each(|id| println!("{id}"));
    }
    let lib = tree.join("src/lib.rs");
    fs::write(tree.join("src/mutant.rs"), SWITCH)?;
    let source = fs::read_to_string(&lib)?;
    fs::write(lib, format!("#![allow(warnings)]\n{source}\n#[doc(hidden)]\npub mod mutant;\n"))?;
    Ok(())
}

/// The mutant nearest before each error is the one at fault; if it is not, the next error names
/// another.
fn blame(tree: &Path) -> Result<()> {
    let (mut guilty, mut names) = (BTreeSet::new(), BTreeSet::new());
    for line in stdin().lock().lines() {
        let Ok(told) = serde_json::from_str::<Value>(&line?) else { continue };
        let message = &told["message"];
        if message["level"] != "error" {
            continue;
        }
        if let Some(name) = needs_const(message) {
            names.insert(name.to_owned());
            continue;
        }
        for span in message["spans"].as_array().into_iter().flatten() {
            let file = tree.join(span["file_name"].as_str().unwrap_or_default());
            let (Ok(text), Some(end)) = (fs::read(file), span["byte_end"].as_u64()) else {
                continue;
            };
            if span["is_primary"] == true {
                guilty.extend(last_mark(&text[..usize::try_from(end)?]));
            }
        }
        eprintln!("{}", message["rendered"].as_str().unwrap_or_default());
    }
    guilty.iter().for_each(|id| println!("{id}"));
    names.iter().for_each(|name| println!("{name}"));
    Ok(())
}

/// The function that a constant calls, and that is not `const` any more.
fn needs_const(message: &Value) -> Option<&str> {
    let text = message["message"].as_str().filter(|_| message["code"]["code"] == "E0015")?;
    let path = text.split('`').nth(1)?.split('<').next()?.trim_end_matches(':');
    path.rsplit("::").next().filter(|name| *name != "is")
}

/// The number in the last mark that begins in `text`, which may end inside it.
fn last_mark(text: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(text);
    text.rmatch_indices(weave::MARK).find_map(|(at, mark)| {
        let digits = text[at + mark.len()..].split(')').next()?;
        digits.parse().ok()
    })
}
