//! Output lines for people and scripts. If the reader has closed the pipe (`… | head`), the
//! work continues.

macro_rules! say {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($line)*);
    }};
}

#[allow(unused_macros, reason = "each program uses its share")]
macro_rules! complain {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($line)*);
    }};
}

#[allow(unused_imports, reason = "each program uses its share")]
pub(crate) use {complain, say};
