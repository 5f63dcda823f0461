// Which versions of its C libraries this target runs with, for the doctor.

import CCairo

/// The C libraries behind this target.
package enum LibraryVersions {
  /// Name and version of each.
  package static var all: [(name: String, version: String)] {
    [("cairo", String(cString: cairo_version_string()))]
  }
}
