//! The largest memory that the process has had, where the system tells.

use std::fs;

/// Peak resident set of this process in bytes, from `VmHWM` in `/proc/self/status`; `None` where
/// there is no such file.
pub fn peak_rss_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_some_memory() {
        if cfg!(target_os = "linux") {
            assert!(peak_rss_bytes().unwrap() > 100_000);
        }
    }
}
