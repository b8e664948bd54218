//! The table of the suite.

use super::Judged;

/// Width of the columns of text.
const WIDTH: usize = 40;

/// The rows as people read them: fault, what was expected, what was seen, pass.
pub fn table(rows: &[Judged]) -> String {
    let mut out = line("name", ["fault", "expected", "seen"], "pass");
    for it in rows {
        let pass = if it.pass { "yes" } else { "NO" };
        let columns = [it.fault, it.expected, &it.seen].map(wrap);
        let height = columns.iter().map(Vec::len).max().unwrap_or(1);
        for row in 0..height {
            let cell = |column: &Vec<String>| column.get(row).cloned().unwrap_or_default();
            let cells: Vec<String> = columns.iter().map(cell).collect();
            let (name, pass) = if row == 0 { (it.name, pass) } else { ("", "") };
            out.push_str(&line(name, [&cells[0], &cells[1], &cells[2]], pass));
        }
    }
    let passed = rows.iter().filter(|it| it.pass).count();
    out.push_str(&format!("{passed} of {} passed\n", rows.len()));
    out
}

fn line(name: &str, [fault, expected, seen]: [&str; 3], pass: &str) -> String {
    let text = format!("{name:<18} {fault:<WIDTH$} {expected:<WIDTH$} {seen:<WIDTH$} {pass}");
    text.trim_end().to_owned() + "\n"
}

fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last().map_or(0, |it| it.chars().count());
        if last > 0 && last + 1 + word.chars().count() > WIDTH {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{Judged, table};

    #[test]
    fn a_table_wraps_what_is_long_and_counts_what_passed() {
        let row = |name, pass| Judged {
            name,
            fault: "one endpoint answers 503 while the exploit is mined",
            expected: "alert afterwards",
            seen: "alerted in 0.40 s".into(),
            pass,
            took_ms: 1,
        };
        expect![[r#"
            name               fault                                    expected                                 seen                                     pass
            rpc-503            one endpoint answers 503 while the       alert afterwards                         alerted in 0.40 s                        yes
                               exploit is mined
            other              one endpoint answers 503 while the       alert afterwards                         alerted in 0.40 s                        NO
                               exploit is mined
            1 of 2 passed
        "#]].assert_eq(&table(&[row("rpc-503", true), row("other", false)]));
    }
}
