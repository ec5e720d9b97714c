//! dpkg's database (`/var/lib/dpkg`), one file of it a module.

mod admin;
mod info;
mod package;
mod relation;
mod version;

pub use admin::{
    AdminError, Alternative, Choice, Diversion, Override, Slave, alternative, diversions, stat_overrides,
    write_alternative, write_diversions,
};
pub use info::{InfoError, InfoName, conffile_list, filter_list, filter_md5sums, info_name, list, md5sums};
pub use package::{
    Conffile, Package, PackageError, PackageProblem, Status, StatusFile, rewrite_status, status, status_d,
    status_without,
};
pub use relation::{Op, Relation, RelationError, Relations, is_package_name, relations};
pub use version::{Version, VersionError};
