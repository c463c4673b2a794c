//! The end of a log, as an error quotes it.

use std::collections::VecDeque;

use futures_util::StreamExt as _;

use super::contract::{Deployment, LogRequest};

/// The most bytes of an excerpt.
const LARGEST: usize = 16 * 1024;

/// The most bytes of one of its lines.
const LONGEST: usize = 1024;

/// The most bytes that are read: a provider may send more than the requested lines.
const READ: usize = 1 << 20;

/// The last lines of each replica, indented, each after a line break. A log that ends with an
/// error is quoted up to there, with the error.
pub(super) async fn log_excerpt(deployment: &dyn Deployment, name: &str, lines: usize) -> String {
    let mut stream = deployment.logs(name, LogRequest::tail(lines));
    let (mut quoted, mut size, mut read) = (VecDeque::new(), 0, 0);
    while read < READ {
        let line = match stream.next().await {
            Some(Ok(line)) => {
                read += line.text.len() + 1;
                format!("\n  [{}] {}", line.replica, shortened(&line.text))
            }
            Some(Err(error)) => {
                read = READ;
                format!("\n  the log cannot be read: {}", shortened(&error.to_string()))
            }
            None => break,
        };
        size += line.len();
        quoted.push_back(line);
        while size > LARGEST {
            size -= quoted.pop_front().map_or(size, |first: String| first.len());
        }
    }
    quoted.into_iter().collect()
}

/// The text without control characters, cut where it is too long.
fn shortened(text: &str) -> String {
    let end = text.floor_char_boundary(LONGEST);
    let cut = if end < text.len() { "…" } else { "" };
    let printable = |character: char| if character.is_control() { '\u{fffd}' } else { character };
    text[..end].chars().map(printable).chain(cut.chars()).collect()
}
