// Which values a label map holds, and whether dataset.json declares them all.

import Foundation
package import Reporting
import Tensors
package import Volumes

/// The values that occur in a label map, in rising order.
package func labelValues(in labels: Volume<Int16>) -> [Int] {
  var present = Array(repeating: false, count: 1 << 16)
  labels.voxels.elements.withUnsafeBufferPointer { labels in
    present.withUnsafeMutableBufferPointer { present in
      for label in labels { present[Int(UInt16(bitPattern: label))] = true }
    }
  }
  return present.indices.filter { present[$0] }.map { Int(Int16(truncatingIfNeeded: $0)) }.sorted()
}

/// Stops at a label map with values that its dataset does not declare.
package func requireDeclared(
  _ labels: Volume<Int16>, of raw: RawCase, in scheme: LabelScheme
) throws(Diagnostic) {
  try requireDeclared(labelValues(in: labels), of: raw, in: scheme)
}

func requireDeclared(_ values: [Int], of raw: RawCase, in scheme: LabelScheme) throws(Diagnostic) {
  let expected = scheme.allLabels + (scheme.ignoreLabel.map { [$0] } ?? [])
  let unexpected = values.filter { !expected.contains($0) }
  if unexpected.isEmpty { return }
  throw Diagnostic(
    "case \(raw.identifier) has labels that dataset.json does not declare", at: raw.label.path,
    expected: "only \(expected.map(String.init).joined(separator: ", "))",
    found: unexpected.prefix(10).map(String.init).joined(separator: ", ")
      + (unexpected.count > 10 ? ", ..." : ""),
    remedy: "correct the label file, or declare the labels in dataset.json")
}
