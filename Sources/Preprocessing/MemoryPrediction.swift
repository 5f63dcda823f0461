// How much memory preprocessing will take, told from headers and the fingerprint before any voxel is read.

import Archives
import CKernels
package import Datasets
import Foundation
package import Planning
package import Reporting
import Tensors
import VolumeFormats
import Volumes

/// The memory that preprocessing a dataset for one configuration takes.
package struct MemoryPrediction: Sendable {
  /// Which cases run together, each with its bytes.
  package let schedule: CaseSchedule
  /// What the process takes before the first case.
  package let baseline: Int
  /// The most that the process may take.
  package let cap: Int

  /// The largest resident size that the process will reach, in bytes.
  package var peak: Int { Self.withMargin(baseline + schedule.predictedPeak) }

  /// What the allocator keeps, stacks and small things come on top of the arrays.
  private static let margin = 1.1
  private static let smallThings = 2 << 20

  private static func withMargin(_ bytes: Int) -> Int { Int(Double(bytes) * margin) + smallThings }

  /// Predicts for all cases of a dataset.
  ///
  /// - Parameters:
  ///   - cases: the dataset's cases.
  ///   - plans: its plans.
  ///   - configuration: which of them.
  ///   - cropShapes: extents after cropping in file order, case by case, if a fingerprint tells them.
  ///   - cap: what may be taken, in bytes; what the machine has available if `nil`.
  package init(
    cases: [RawCase], plans: Plans, configuration: PlannedConfiguration, cropShapes: [[Int]]?, cap: Int? = nil
  ) throws(Diagnostic) {
    baseline = residentMemory()
    self.cap = cap ?? CaseSchedule.availableMemory() + baseline
    var bytes: [Int] = []
    for (index, entry) in cases.enumerated() {
      let stages = try CaseMemory(
        entry, plans: plans, configuration: configuration,
        cropShape: cropShapes.flatMap { $0.count == cases.count ? $0[index] : nil })
      bytes.append(stages.peak)
    }
    schedule = CaseSchedule(
      bytes: bytes, limit: max(0, Int(Double(self.cap - Self.smallThings) / Self.margin) - baseline))
  }

  /// Refuses a dataset whose largest case alone exceeds the cap.
  package func requireFits(_ cases: [RawCase], configuration: String) throws(Diagnostic) {
    guard let largest = schedule.bytes.indices.max(by: { schedule.bytes[$0] < schedule.bytes[$1] }),
      Self.withMargin(baseline + schedule.bytes[largest]) > cap
    else { return }
    throw Diagnostic(
      "preprocessing \(configuration) takes more memory than there is",
      at: "case \(cases[largest].identifier)", expected: "at most \(sizeText(cap))",
      found: "\(sizeText(Self.withMargin(baseline + schedule.bytes[largest]))) predicted for this case alone",
      remedy:
        "raise --memory-cap if the machine has more, end other programs, leave the case out, or plan with a"
        + " coarser -overwrite_target_spacing")
  }
}

/// A number of bytes for people.
package func sizeText(_ bytes: Int) -> String {
  bytes < 1_000_000_000
    ? "\(Int((Double(bytes) / 1e6).rounded(.up))) MB" : "\((Double(bytes) / 1e7).rounded(.up) / 100) GB"
}

/// Lets the allocator give arrays back to the system as soon as they are free, so that predictions hold.
///
/// By itself it keeps ever larger blocks once some were freed.
func returnFreedArrays() { nnk_return_freed_blocks(4 << 20) }

/// What the process has in memory now, in bytes.
func residentMemory() -> Int {
  guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
    let pages = text.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
  else { return 64 << 20 }
  return pages * sysconf(Int32(_SC_PAGESIZE))
}

/// The memory of one case, step by step.
struct CaseMemory {
  /// Voxels of the file, of the crop and of the result.
  private let fileCount: Int
  private let cropCount: Int
  private let resultCount: Int
  private let channelCount: Int
  /// Bytes of one file, as it is and decompressed.
  private let fileBytes: Int
  private let rawBytes: Int
  private let isTransposed: Bool
  private let isCropped: Bool
  private let scratchBytes: Int

  init(
    _ entry: RawCase, plans: Plans, configuration: PlannedConfiguration, cropShape: [Int]?
  ) throws(Diagnostic) {
    guard let url = entry.images.first, let information = try? readImageInformation(url) else {
      // Reading the case will say what is wrong with it.
      (fileCount, cropCount, resultCount, channelCount, fileBytes, rawBytes) = (0, 0, 0, 0, 0, 0)
      (isTransposed, isCropped, scratchBytes) = (false, false, 0)
      return
    }
    let forward = plans.transposeForward
    let crop = cropShape ?? information.shape
    let spacing = forward.map { information.geometry.spacing[$0] }
    let target =
      configuration.spacing.count < 3 ? [spacing[0]] + configuration.spacing : configuration.spacing
    let shape = forward.map { crop[$0] }
    let rule = try ResizeRule(configuration.imageResampling, from: spacing, to: target)
    let newShape = rule == nil ? shape : resampledShape(shape, from: spacing, to: target)
    fileCount = information.shape.reduce(1, *)
    cropCount = crop.reduce(1, *)
    resultCount = newShape.map { max($0, 1) }.reduce(1, *)
    channelCount = configuration.normalizationSchemes.count
    fileBytes = (try? regularFileSize(url, as: "the image")) ?? 0
    rawBytes = information.voxelByteCount
    isTransposed = forward != [0, 1, 2]
    isCropped = crop != information.shape
    scratchBytes = rule.map { resizeScratchBytes(shape: shape, newShape: newShape, rule: $0) } ?? 0
  }

  /// The most that is there at any time.
  var peak: Int { max(reading, normalizing, resizingLabels, writing) }

  /// All channels are there while the last file of them, then the labels are decoded; labels are floats on the way.
  private var reading: Int {
    fileCount * 4 * channelCount + max(fileBytes + rawBytes, fileCount * 6)
  }

  /// One channel is on its way; the others wait as floats of the file's or of the result's size.
  private var normalizing: Int {
    let perChannel = cropCount * 4 * (1 + (isTransposed ? 1 : 0)) + scratchBytes
    let waiting = max(fileCount, resultCount) * 4 * (channelCount - 1)
    let result = resultCount * 4
    let source = isCropped ? fileCount * 4 : 0
    return cropCount * (isCropped ? 3 : 2) + waiting + result + max(perChannel, source + cropCount * 4)
  }

  private var resizingLabels: Int { resultCount * (4 * channelCount + 2) + cropCount * 3 }

  private var writing: Int { resultCount * (4 * channelCount + 2) }
}
