//! argv in, exit status out.

fn main() -> std::process::ExitCode {
    udpnode::runtime::main(std::env::args_os().skip(1))
}
