// Which versions of its C libraries this target runs with, for the doctor.

/// The C libraries behind this target.
package enum LibraryVersions {
  /// Name and version of each.
  ///
  /// niftilib can print its version but not return it.
  package static var all: [(name: String, version: String)] {
    [("niftilib", "nifti2 (the library does not tell its version)")]
  }
}
