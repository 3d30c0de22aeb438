//! The report as JSON, with every single value.

use crate::report::Report;

/// One object: the machine, what is missing, and the rows.
pub(crate) fn write(report: &Report) -> String {
    let facts = report.machine.iter().map(|(name, fact)| member(name, &string(fact)));
    let missing = report.missing.iter().map(|bridge| string(bridge.id));
    let rows = report.rows().map(|(_, row)| {
        let bridges = report.bridges.iter().filter_map(|bridge| {
            let median = report.results.median(row, bridge.id)?;
            let values =
                report.results.values(row, bridge.id).into_iter().map(|value| value.to_string());
            let members = [member("median", &median.to_string()), member("values", &list(values))];
            Some(member(bridge.id, &object(members)))
        });
        let about = [("id", row.id), ("title", row.title), ("unit", row.unit)];
        let about = about.map(|(name, value)| member(name, &string(value)));
        object(about.into_iter().chain([member("bridges", &object(bridges))]))
    });
    let members = [
        member("machine", &object(facts)),
        member("missing", &list(missing)),
        member("rows", &list(rows)),
    ];
    object(members) + "\n"
}

fn member(name: &str, value: &str) -> String {
    format!("{}: {value}", string(name))
}

fn object(members: impl IntoIterator<Item = String>) -> String {
    format!("{{{}}}", members.into_iter().collect::<Vec<_>>().join(", "))
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(",\n "))
}

fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control @ '\0'..' ' => quoted += &format!("\\u{:04x}", control as u32),
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    #[test]
    fn strings_are_escaped() {
        assert_eq!(super::string("a \"b\"\\\n"), r#""a \"b\"\\\u000a""#);
    }
}
