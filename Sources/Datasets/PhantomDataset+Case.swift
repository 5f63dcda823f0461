// The images of the built-in phantom: a solid ellipsoid with a core, among hollow spheres and rods as bright as it.
// Geometry is computed in millimetres, so that the voxel spacing of a case changes its sampling and nothing else.

import Foundation
import Tensors
package import Volumes

/// What the phantom dataset looks like; the defaults make a task for a few minutes of training.
package struct PhantomOptions: Sendable, Equatable {
  package var trainingCaseCount = 12
  package var heldOutCaseCount = 3
  package var seed = 1
  /// Edge of the imaged cube in millimetres.
  package var extentMillimeters = 48.0
  /// Millimetres between voxels (z, y, x) of the typical case; every third case departs from it a little.
  package var spacing = [2.0, 1.0, 1.0]
  /// Standard deviation of the noise; tissue, shell and core lie 60 apart.
  package var noiseDeviation = 12.0
  /// Largest relative change of brightness by the smooth bias field.
  package var biasStrength = 0.25

  package init() {}
}

/// One image of the phantom with its reference labels.
package struct PhantomCase: Sendable {
  package var identifier: String
  package var image: Volume<Float>
  /// 0 background, 1 the ellipsoid around the core, 2 the core.
  package var labels: Volume<Int16>
}

/// Computes one phantom case from its number alone.
///
/// Cases from `trainingCaseCount` on are the held-out ones.
package func makePhantomCase(index: Int, options: PhantomOptions) -> PhantomCase {
  var randomness = RandomSource(key: [0x9A47, options.seed, index])
  let spacing = index % 3 == 2 ? options.spacing.map { $0 * randomness.uniform(0.88, 1.12) } : options.spacing
  let shape = spacing.map { max(8, Int((options.extentMillimeters / $0).rounded())) }
  // The scene is made for the default cube and shrunk or grown with it, so that its objects always fit.
  let extent = PhantomOptions().extentMillimeters
  let scene = PhantomScene(extent: extent, randomness: &randomness)
  let bias = BiasField(strength: options.biasStrength, randomness: &randomness)
  // A scanner leaves the outermost voxels at exactly 0, which gives the crop to the nonzero region something to do.
  let margin = (0..<2).map { _ in randomness.integer(below: 4) }

  var image = NDArray<Float>(shape: shape, repeating: 0)
  var labels = NDArray<Int16>(shape: shape, repeating: 0)
  var position = 0
  for z in 0..<shape[0] {
    for y in 0..<shape[1] {
      for x in 0..<shape[2] {
        let point = SIMD3(
          (Double(z) + 0.5) * spacing[0], (Double(y) + 0.5) * spacing[1], (Double(x) + 0.5) * spacing[2])
        let sample = scene.sample(at: point * (extent / options.extentMillimeters))
        let noise = options.noiseDeviation * randomness.normal()
        let inside = y >= margin[0] && x >= margin[1]
        if inside {
          let relative = point / options.extentMillimeters * 2 - 1
          // Whole numbers above 0 keep the files small and equal on every machine.
          image.elements[position] = Float(
            max(1, (sample.brightness * bias.gain(at: relative) + noise).rounded()))
        }
        labels.elements[position] = sample.label
        position += 1
      }
    }
  }
  let geometry = ImageGeometry(
    spacing: spacing.map { Double(Float($0)) }, origin: [-20 - Double(index), 15, 10 + 2 * Double(index)])
  let number = String(index)
  return PhantomCase(
    identifier: "phantom_" + String(repeating: "0", count: max(0, 3 - number.count)) + number,
    image: Volume(voxels: image, geometry: geometry), labels: Volume(voxels: labels, geometry: geometry))
}

/// Brightness of the three kinds of matter, before bias and noise.
private enum Matter {
  static let tissue = 100.0
  static let shell = 160.0
  static let core = 220.0
}

/// The objects of one case, in millimetres (z, y, x).
private struct PhantomScene {
  private let target: Ellipsoid
  private let core: Ellipsoid
  private let spheres: [HollowSphere]
  private let rods: [Rod]

  init(extent: Double, randomness: inout RandomSource) {
    func vector(_ lower: Double, _ upper: Double) -> SIMD3<Double> {
      SIMD3(
        randomness.uniform(lower, upper), randomness.uniform(lower, upper), randomness.uniform(lower, upper))
    }
    let center = vector(extent * 0.33, extent * 0.67)
    let radii = vector(9, 12.5)
    target = Ellipsoid(center: center, radii: radii)
    core = Ellipsoid(center: center + vector(-1, 1), radii: radii * vector(0.52, 0.64))

    var spheres: [HollowSphere] = []
    while spheres.count < 3 {
      let candidate = HollowSphere(
        center: vector(6, extent - 6), radius: randomness.uniform(6.5, 9),
        thickness: randomness.uniform(2, 2.6),
        brightness: spheres.count % 2 == 0 ? Matter.core : Matter.shell)
      // Hollow spheres keep their distance, so that enough of each stays in view.
      if length(candidate.center - center) > 19 { spheres.append(candidate) }
    }
    self.spheres = spheres
    rods = (0..<6).map { number in
      Rod(
        start: vector(2, extent - 2), direction: vector(-1, 1), length: randomness.uniform(25, 45),
        radius: randomness.uniform(1.6, 2.2), brightness: number % 2 == 0 ? Matter.shell : Matter.core)
    }
  }

  /// Brightness and label at a point.
  func sample(at point: SIMD3<Double>) -> (brightness: Double, label: Int16) {
    let targetDistance = target.distance(to: point)
    let coreDistance = core.distance(to: point)
    var brightness = Matter.tissue
    // Other objects end two millimetres before the target, so that its boundary is visible everywhere.
    if targetDistance > 2 {
      for sphere in spheres { blend(&brightness, sphere.brightness, sphere.distance(to: point)) }
      for rod in rods { blend(&brightness, rod.brightness, rod.distance(to: point)) }
    }
    blend(&brightness, Matter.shell, targetDistance)
    blend(&brightness, Matter.core, coreDistance)
    return (brightness, coreDistance < 0 ? 2 : targetDistance < 0 ? 1 : 0)
  }

  /// Mixes an object in over one millimetre around its boundary, as a voxel that holds two kinds of matter does.
  private func blend(_ brightness: inout Double, _ other: Double, _ distance: Double) {
    let share = min(1, max(0, 0.5 - distance))
    brightness += (other - brightness) * share
  }
}

private struct Ellipsoid {
  var center: SIMD3<Double>
  var radii: SIMD3<Double>

  /// Roughly the signed distance to the surface in millimetres; negative inside.
  func distance(to point: SIMD3<Double>) -> Double {
    let scaled = (point - center) / radii
    let radius = length(scaled)
    let gradient = length(scaled / radii)
    return gradient > 1e-9 ? (radius - 1) * radius / gradient : -radii.min()
  }
}

private struct HollowSphere {
  var center: SIMD3<Double>
  var radius: Double
  var thickness: Double
  var brightness: Double

  func distance(to point: SIMD3<Double>) -> Double { abs(length(point - center) - radius) - thickness / 2 }
}

private struct Rod {
  var start: SIMD3<Double>
  var direction: SIMD3<Double>
  var length: Double
  var radius: Double
  var brightness: Double

  func distance(to point: SIMD3<Double>) -> Double {
    let axis = direction / max(1e-9, Datasets.length(direction))
    let offset = point - start
    let along = min(length, max(0, dot(offset, axis)))
    return Datasets.length(offset - axis * along) - radius
  }
}

/// A smooth change of brightness over the image: a random polynomial of second order.
private struct BiasField {
  private let coefficients: [Double]
  private let strength: Double

  init(strength: Double, randomness: inout RandomSource) {
    let raw = (0..<6).map { _ in randomness.uniform(-1, 1) }
    let size = max(1e-9, raw.reduce(0) { $0 + abs($1) })
    coefficients = raw.map { $0 / size }
    self.strength = strength
  }

  /// The factor at a point whose coordinates run from -1 to 1.
  func gain(at p: SIMD3<Double>) -> Double {
    let terms = [p.z, p.y, p.x, p.x * p.y, p.y * p.z, 1.5 * (p.x * p.x + p.y * p.y) - 1]
    return 1 + strength * zip(coefficients, terms).reduce(0) { $0 + $1.0 * $1.1 }
  }
}

private func dot(_ a: SIMD3<Double>, _ b: SIMD3<Double>) -> Double { (a * b).sum() }

private func length(_ a: SIMD3<Double>) -> Double { dot(a, a).squareRoot() }
