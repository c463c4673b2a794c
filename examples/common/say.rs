//! Lines for people and scripts. Where nobody reads them any more (`… | head`), the
//! work goes on.

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
