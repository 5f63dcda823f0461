// Which versions of its C libraries this target runs with, for the doctor.

import CReadline

/// The C libraries behind this target.
package enum LibraryVersions {
  /// Name and version of each.
  package static var all: [(name: String, version: String)] {
    [("readline", String(cString: nnr_version()))]
  }
}
