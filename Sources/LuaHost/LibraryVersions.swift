// Which versions of its C libraries this target runs with, for the doctor.

import CLua

/// The C libraries behind this target.
package enum LibraryVersions {
  /// Name and version of each.
  package static var all: [(name: String, version: String)] {
    [("Lua", "\(LUA_VERSION_MAJOR).\(LUA_VERSION_MINOR).\(LUA_VERSION_RELEASE)")]
  }
}
