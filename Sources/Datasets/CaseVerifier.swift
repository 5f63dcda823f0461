// The checks on the files of one case, each reported by itself. C channels, Z Y X array axes.

import Archives
import Foundation
import Reporting
import Tensors
import VolumeFormats
import Volumes

/// What was found in one case.
struct CaseFindings: Sendable {
  var findings: [DatasetFinding] = []
  var hasForeground = false
  /// Digests of the voxels of the images and of the labels, if they could be read.
  var imageDigest: String?
  var labelDigest: String?

  mutating func add(
    _ severity: DatasetFinding.Severity, _ diagnostic: Diagnostic, repair: DatasetFinding.Repair? = nil
  ) {
    findings.append(DatasetFinding(severity, diagnostic, repair: repair))
  }
}

/// Reads the files of a case one by one and looks at each.
struct CaseVerifier {
  let raw: RawCase
  let description: DatasetDescription
  private var result = CaseFindings()
  private var first: (shape: [Int], geometry: ImageGeometry)?

  init(_ raw: RawCase, _ description: DatasetDescription) {
    self.raw = raw
    self.description = description
  }

  mutating func run() -> CaseFindings {
    checkImages()
    checkLabels()
    return result
  }

  private mutating func checkImages() {
    var digests: [String] = []
    var channelCount = 0
    var isComplete = true
    for url in raw.images {
      guard FileManager.default.fileExists(atPath: url.path) else {
        result.add(
          .error,
          Diagnostic(
            "case \(raw.identifier) lacks an image file", at: url.path, expected: "an image",
            found: "no such file", remedy: "add the file or correct the entry in dataset.json"))
        isComplete = false
        continue
      }
      do {
        let image = try readChannels(url, as: raw.reader)
        channelCount += image.shape[0]
        checkValues(image.voxels, url)
        checkGeometry(image, url)
        digests.append(image.voxels.elements.withUnsafeBytes { ContentHash(bytes: $0).description })
      } catch {
        result.add(.error, diagnostic(of: error, url))
        isComplete = false
      }
    }
    if isComplete, channelCount != description.channelNames.count {
      result.add(
        .error,
        Diagnostic(
          "case \(raw.identifier) has the wrong number of channels",
          at: raw.images.first?.path ?? raw.identifier,
          expected: "\(description.channelNames.count), one per entry of \"channel_names\"",
          found: "\(channelCount): \(raw.images.map(\.lastPathComponent).joined(separator: ", "))",
          remedy: "add the missing channels, or correct \"channel_names\" in dataset.json"))
    } else if isComplete {
      result.imageDigest = digests.joined()
    }
  }

  private mutating func checkValues(_ voxels: NDArray<Float>, _ url: URL) {
    let (nanCount, infiniteCount) = voxels.elements.withUnsafeBufferPointer { values in
      var nans = 0
      var infinities = 0
      for value in values {
        nans &+= value.isNaN ? 1 : 0
        infinities &+= value.isInfinite ? 1 : 0
      }
      return (nans, infinities)
    }
    if nanCount > 0 {
      result.add(
        .error,
        Diagnostic(
          "an image of case \(raw.identifier) has NaN", at: url.path, expected: "finite intensities",
          found: "\(nanCount) NaN voxels", remedy: "replace NaN in the image, by 0 for example"),
        repair: .replaceValues(file: url.path))
    }
    if infiniteCount > 0 {
      result.add(
        .warning,
        Diagnostic(
          "an image of case \(raw.identifier) has infinite values", at: url.path,
          expected: "finite intensities", found: "\(infiniteCount) infinite voxels",
          remedy: "replace them in the image"),
        repair: .replaceValues(file: url.path))
    }
  }

  private mutating func checkGeometry(_ image: Volume<Float>, _ url: URL) {
    let shape = Array(image.shape.dropFirst())
    if image.geometry.skew > 1e-4 {
      result.add(
        .warning,
        Diagnostic(
          "an image of case \(raw.identifier) has axes that are not at right angles", at: url.path,
          expected: "direction cosines of a rotation",
          found: "a cosine of \(Float(image.geometry.skew)) between two axes",
          remedy:
            "nothing need be done: the voxels are taken as they lie and the header is kept; resample the"
            + " image if its shape in the world matters"))
    }
    guard let first else {
      self.first = (shape, image.geometry)
      return
    }
    guard shape == first.shape else {
      result.add(
        .error,
        Diagnostic(
          "channels of case \(raw.identifier) do not match", at: url.path,
          expected: "\(first.shape) voxels (z, y, x) as in \(raw.images[0].lastPathComponent)",
          found: "\(shape)", remedy: "resample all channels of the case onto one grid"))
      return
    }
    compare(image.geometry, first.geometry, shape: shape, name: "channels", url)
  }

  private mutating func checkLabels() {
    guard FileManager.default.fileExists(atPath: raw.label.path) else {
      result.add(
        .error,
        Diagnostic(
          "case \(raw.identifier) has no label file", at: raw.label.path, expected: "a label map",
          found: "no such file",
          remedy: "add the file, or remove the case's images and lower \"numTraining\""))
      return
    }
    do {
      let labels = try readLabels(raw.label, as: raw.reader)
      let values = labelValues(in: labels)
      result.hasForeground = values.contains { $0 > 0 }
      result.labelDigest = labels.voxels.elements.withUnsafeBytes { ContentHash(bytes: $0).description }
      do { try requireDeclared(values, of: raw, in: description.labels) } catch { result.add(.error, error) }
      if !result.hasForeground {
        result.add(
          .warning,
          Diagnostic(
            "the labels of case \(raw.identifier) are empty", at: raw.label.path,
            expected: "at least one labelled voxel", found: "only background",
            remedy: "keep it if nothing is to be seen in the image; else replace the label file"))
      }
      guard let first else { return }
      guard labels.shape == first.shape else {
        result.add(
          .error,
          Diagnostic(
            "image and label of case \(raw.identifier) differ in size", at: raw.label.path,
            expected: "\(first.shape) voxels (z, y, x) as in the image", found: "\(labels.shape)",
            remedy: "resample the label map onto the image, or replace it by the right file"))
        return
      }
      compare(labels.geometry, first.geometry, shape: first.shape, name: "image and label", raw.label)
    } catch {
      result.add(.error, diagnostic(of: error, raw.label))
    }
  }

  /// Reports how a file lies to the case's first image.
  private mutating func compare(
    _ geometry: ImageGeometry, _ reference: ImageGeometry, shape: [Int], name: String, _ url: URL
  ) {
    let difference = GeometryDifference(geometry, reference, shape: shape)
    guard let text = difference.text else { return }
    let failure = "\(name) of case \(raw.identifier) differ in geometry"
    let expected =
      "spacing \(reference.spacing) (z, y, x), origin \(reference.origin), as in "
      + raw.images[0].lastPathComponent
    switch difference {
    case .floatNoise:
      result.add(
        .warning,
        Diagnostic(
          failure, at: url.path, expected: expected, found: text,
          remedy: "harmless; verify_dataset --fix makes them equal in a copy"),
        repair: .copyGeometry(file: url.path))
    case .spacing:
      result.add(
        .error,
        Diagnostic(
          failure, at: url.path, expected: expected, found: "\(text): \(geometry.spacing)",
          remedy: "correct the header of the file that is wrong"))
    default:
      result.add(
        .warning,
        Diagnostic(
          failure, at: url.path, expected: expected, found: text,
          remedy: "make sure that they lie on each other; the voxels are taken as they are"))
    }
  }

  private func diagnostic(of error: any Error, _ url: URL) -> Diagnostic {
    switch error {
    case let diagnostic as Diagnostic: diagnostic.located(at: url.path)
    case let error as any DiagnosableError: error.diagnostic
    default:
      Diagnostic(
        "case \(raw.identifier) cannot be read", at: url.path, found: "\(error)",
        remedy: "replace the file by an intact one")
    }
  }
}
