//! Runs seeds and reports; exits with 1 when a promise was broken or a canary lived.
fn main() {
    println!("{:?}", weir_sim::run(1, None, true));
}
