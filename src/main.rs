//! Parses the command line and runs it; everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    kodo::cli::main()
}
