// Which versions of its C libraries this target runs with, for the doctor.

import CCrypto
import CZlib

/// The C libraries behind this target.
package enum LibraryVersions {
  /// Name and version of each.
  package static var all: [(name: String, version: String)] {
    [("zlib", String(cString: zlibVersion())), ("libcrypto", OPENSSL_VERSION_STR)]
  }
}
