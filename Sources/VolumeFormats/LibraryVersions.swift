// Which versions of its C libraries this target runs with, for the doctor.

import CJPEG
import CPNG
import CTIFF

/// The C libraries behind this target.
package enum LibraryVersions {
  /// Name and version of each.
  ///
  /// niftilib can print its version but not return it.
  package static var all: [(name: String, version: String)] {
    let tiff = String(cString: nni_tiff_version()).prefix { !$0.isNewline }
    return [
      ("niftilib", "nifti2 (the library does not tell its version)"),
      ("libpng", String(cString: nni_png_version())),
      ("libjpeg", String(cString: nni_jpeg_version())),
      ("libtiff", tiff.split(separator: " ").last.map(String.init) ?? String(tiff)),
    ]
  }
}
