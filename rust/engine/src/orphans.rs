//! Whose child a process becomes when its parent ends: a supervisor takes over the workers of a dead zygote.

use pyo3::prelude::*;

/// Makes the calling process the parent of its descendants whose own parent has ended, where the system can
/// (prctl(2), PR_SET_CHILD_SUBREAPER). Elsewhere, and as process 1, nothing is to be done.
#[pyfunction]
pub fn adopt_orphans() -> PyResult<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(std::io::Error::from)?;
    Ok(())
}
