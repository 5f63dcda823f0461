// Statistics of foreground intensities, as fingerprint and plans carry them. Measuring them is FingerprintExtractor's.

package import Archives
package import Reporting

/// Foreground intensities of one channel over the whole dataset.
package struct IntensityStatistics: Sendable, Equatable {
  package var maximum: Double
  package var mean: Double
  package var median: Double
  package var minimum: Double
  package var percentile005: Double
  package var percentile995: Double
  package var standardDeviation: Double

  package init(
    maximum: Double, mean: Double, median: Double, minimum: Double, percentiles: (low: Double, high: Double),
    standardDeviation: Double
  ) {
    self.maximum = maximum
    self.mean = mean
    self.median = median
    self.minimum = minimum
    percentile005 = percentiles.low
    percentile995 = percentiles.high
    self.standardDeviation = standardDeviation
  }

  private static let keys = ["max", "mean", "median", "min", "percentile_00_5", "percentile_99_5", "std"]

  /// Reads the seven numbers of one channel.
  package init(json: JSON, place: String) throws(Diagnostic) {
    var values: [Double] = []
    for key in Self.keys {
      guard let value = json[key]?.double else {
        throw Diagnostic(
          "intensity statistics are not usable", at: place, expected: "the number \"\(key)\"",
          found: json[key]?.kind ?? "no such key", remedy: "extract the fingerprint again")
      }
      values.append(value)
    }
    self.init(
      maximum: values[0], mean: values[1], median: values[2], minimum: values[3],
      percentiles: (values[4], values[5]), standardDeviation: values[6])
  }

  package var json: JSON {
    let values = [maximum, mean, median, minimum, percentile005, percentile995, standardDeviation]
    return .object(JSONObject(zip(Self.keys, values).map { ($0, JSON.number($1)) }))
  }

  /// Reads the object of all channels, keyed "0", "1", ...
  package static func channels(_ json: JSON?, place: String) throws(Diagnostic) -> [IntensityStatistics] {
    guard let object = json?.object else {
      throw Diagnostic(
        "intensity statistics are not usable", at: place, expected: "an object with a key per channel",
        found: json?.kind ?? "no such key", remedy: "extract the fingerprint again")
    }
    var channels: [IntensityStatistics] = []
    for channel in 0..<object.count {
      let values = object["\(channel)"] ?? .null
      channels.append(try IntensityStatistics(json: values, place: "\(place), channel \(channel)"))
    }
    return channels
  }
}
