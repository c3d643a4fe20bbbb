//! Installing what was compiled.

use super::error::InstallError;
use super::install::{Install, Installed};
use crate::arch::Arch;
use crate::compile::Filter;

impl Filter {
    /// Installs the filter, if it is for this program: the ABI of the program must be one of those that it was compiled
    /// for, which implies the byte order. Everything else is as [`Install::install`] has it: one system call, and one
    /// before it for `no_new_privs`; async-signal-safe; no allocation.
    ///
    /// ```no_run
    /// use callsieve::{Compiler, kernel::{self, Install}, profile::Profile};
    ///
    /// let policy = Profile::container_default()?.resolve(&kernel::host_target()?)?;
    /// let filter = Compiler::new().compile(&policy)?;
    /// filter.install(Install::from_policy(&policy)?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`InstallError::ForeignArch`] before anything is done; else those of [`Install::install`].
    pub fn install(&self, install: Install) -> Result<Installed, InstallError> {
        let listed = |native: Arch| self.report().arches.iter().any(|report| report.arch == native);
        if !Arch::NATIVE.is_some_and(listed) {
            return Err(InstallError::ForeignArch);
        }
        install.install(self.program())
    }
}
