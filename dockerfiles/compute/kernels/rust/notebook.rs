// What the program of a Rust notebook calls between its cells, for rust_kernel.py. Reports are files in the
// folder that CARBON_REPORTS names when this is compiled.

use std::fmt::Debug;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, Ordering};

static STDOUT: AtomicI32 = AtomicI32::new(-1);
static STDERR: AtomicI32 = AtomicI32::new(-1);

extern "C" {
    fn dup(file: i32) -> i32;
    fn dup2(from: i32, to: i32) -> i32;
}

pub fn report(name: &str, text: &str) {
    std::fs::write(format!("{}/{name}", env!("CARBON_REPORTS")), text).expect("a report can be written");
}

/// Hides what is printed from here on. Errors go to a report, for the case that an earlier cell fails this time.
pub fn hide() {
    let nowhere = std::fs::File::create("/dev/null").expect("/dev/null can be written");
    let errors = std::fs::File::create(concat!(env!("CARBON_REPORTS"), "/hidden")).expect("a report can be written");
    // SAFETY: the files are open, and nothing else runs yet.
    unsafe {
        STDOUT.store(dup(1), Ordering::Relaxed);
        STDERR.store(dup(2), Ordering::Relaxed);
        dup2(nowhere.as_raw_fd(), 1);
        dup2(errors.as_raw_fd(), 2);
    }
}

/// Shows what is printed from here on.
pub fn show() {
    std::io::stdout().flush().expect("the output can be written");
    // SAFETY: hide() opened them.
    unsafe {
        dup2(STDOUT.load(Ordering::Relaxed), 1);
        dup2(STDERR.load(Ordering::Relaxed), 2);
    }
    report("shown", "");
}

/// A value at the end of a cell. Its method `text` is Debugged's where the type has Debug, and else Opaque's: the
/// compiler finds the one with fewer references first.
pub struct Value<'a, T: ?Sized>(pub &'a T);

pub trait Debugged {
    fn text(&self) -> String;
}

impl<T: Debug + ?Sized> Debugged for Value<'_, T> {
    fn text(&self) -> String {
        format!("{:?}", self.0)
    }
}

pub trait Opaque {
    fn text(&self) -> String;
}

impl<T: ?Sized> Opaque for &Value<'_, T> {
    fn text(&self) -> String {
        "()".into()
    }
}
