//! What completes the command line in a shell, from the table of options.

use super::option::Opt;
use super::options;
use crate::logging::Escaped;

/// The script for `complete-SHELL`.
///
/// # Errors
/// There is none of that name.
pub(super) fn generate(what: &str) -> Result<String, String> {
    match what {
        "complete-bash" => Ok(bash()),
        "complete-zsh" => Ok(zsh()),
        "complete-fish" => Ok(fish()),
        other => Err(format!(
            "'{}' is none of complete-bash, complete-zsh, complete-fish",
            Escaped(other)
        )),
    }
}

/// The value of an option, as far as a shell can help with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    None,
    File,
    Directory,
    Other,
}

impl Value {
    fn of(opt: &Opt) -> Self {
        match opt.hint {
            "" => Self::None,
            "FILE" => Self::File,
            "DIR" => Self::Directory,
            _ => Self::Other,
        }
    }
}

fn flags(opt: &Opt) -> Vec<String> {
    let short = (!opt.short.is_empty()).then(|| format!("-{}", opt.short));
    short.into_iter().chain([format!("--{}", opt.long)]).collect()
}

fn flags_with(value: Value) -> Vec<String> {
    options::all().filter(|opt| Value::of(opt) == value).flat_map(flags).collect()
}

fn bash() -> String {
    let all: Vec<String> = options::all().flat_map(flags).collect();
    format!(
        "# bash completion for websocksy
_websocksy() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}
    case $before in
    {directories}) mapfile -t COMPREPLY < <(compgen -d -- \"$word\") ; return ;;
    {files}) mapfile -t COMPREPLY < <(compgen -f -- \"$word\") ; return ;;
    {others}) return ;;
    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '{all}' -- \"$word\")
    else
        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")
    fi
}}
complete -o filenames -F _websocksy websocksy
",
        directories = flags_with(Value::Directory).join("|"),
        files = flags_with(Value::File).join("|"),
        others = flags_with(Value::Other).join("|"),
        all = all.join(" "),
    )
}

fn zsh() -> String {
    let mut text = String::from("#compdef websocksy\n\n_arguments -s \\\n");
    for opt in options::all() {
        let help = opt.help.replace('\'', "'\\''").replace(['[', ']'], "").replace(':', "\\:");
        let value = match Value::of(opt) {
            Value::None => String::new(),
            Value::File => ":FILE:_files".into(),
            Value::Directory => ":DIR:_files -/".into(),
            Value::Other => format!(":{}: ", opt.hint.replace(['[', ']'], "").replace(':', "\\:")),
        };
        let repeats = opt.setting.as_ref().is_some_and(super::setting::Setting::repeats);
        let star = if repeats { "*" } else { "" };
        for flag in flags(opt) {
            text.push_str(&format!("    '{star}{flag}[{help}]{value}' \\\n"));
        }
    }
    text.push_str("    '::FILE:_files'\n");
    text
}

fn fish() -> String {
    let mut text = String::from("# fish completion for websocksy\n");
    for opt in options::all() {
        let short = if opt.short.is_empty() { String::new() } else { format!(" -s {}", opt.short) };
        let value = match Value::of(opt) {
            Value::None => "",
            Value::File => " -r -F",
            Value::Directory => " -x -a '(__fish_complete_directories)'",
            Value::Other => " -x",
        };
        let help = opt.help.replace('\\', "\\\\").replace('\'', "\\'");
        text.push_str(&format!(
            "complete -c websocksy{short} -l {}{value} -d '{help}'\n",
            opt.long
        ));
    }
    text
}
