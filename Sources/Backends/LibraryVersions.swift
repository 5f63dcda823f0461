// Which versions of its C libraries this target runs with, for the doctor.

import COneDNN
import COpenBLAS

/// The C libraries behind this target.
package enum LibraryVersions {
  /// Name and version of each.
  package static var all: [(name: String, version: String)] {
    [("oneDNN", oneDNN), ("OpenBLAS", openBLAS)]
  }

  private static var oneDNN: String {
    guard let version = dnnl_version()?.pointee else { return "unknown" }
    let runtime = version.cpu_runtime == UInt32(DNNL_RUNTIME_OMP) ? ", OpenMP" : ""
    return "\(version.major).\(version.minor).\(version.patch)\(runtime)"
  }

  private static var openBLAS: String {
    guard let configuration = openblas_get_config() else { return "unknown" }
    let words = String(cString: configuration).split(separator: " ")
    let core = openblas_get_corename().map { ", \(String(cString: $0)) kernels" } ?? ""
    return (words.dropFirst().first.map(String.init) ?? "unknown") + core
  }
}
