// The picture of a training run: losses and pseudo Dice, epoch durations, learning rate.

package import Foundation

/// What a training run logs per epoch, as far as its picture needs it.
package struct TrainingCurve: Sendable, Equatable {
  package var trainingLosses: [Double]
  package var validationLosses: [Double]
  /// Mean pseudo Dice over the foreground classes.
  package var pseudoDice: [Double]
  /// Exponential moving average of the pseudo Dice.
  package var smoothedPseudoDice: [Double]
  package var epochSeconds: [Double]
  package var learningRates: [Double]

  package init(
    trainingLosses: [Double], validationLosses: [Double], pseudoDice: [Double], smoothedPseudoDice: [Double],
    epochSeconds: [Double], learningRates: [Double]
  ) {
    self.trainingLosses = trainingLosses
    self.validationLosses = validationLosses
    self.pseudoDice = pseudoDice
    self.smoothedPseudoDice = smoothedPseudoDice
    self.epochSeconds = epochSeconds
    self.learningRates = learningRates
  }
}

/// Draws a training run as three panels and writes it as PNG or SVG, by the file's ending.
package func drawTrainingCurve(_ curve: TrainingCurve, title: String = "Training", to url: URL) throws {
  let canvas = try Canvas(width: 900, height: 860, for: url)
  canvas.text(title, x: 80, y: 36, style: TextStyle(size: 18, isBold: true))
  let count = curve.trainingLosses.count
  if let best = curve.smoothedPseudoDice.filter(\.isFinite).max() {
    canvas.text(
      "\(count) \(count == 1 ? "epoch" : "epochs"), best smoothed pseudo Dice \(String(format: "%.3f", best))",
      x: 80, y: 56, style: TextStyle(size: 12, color: Palette.faintText))
  }
  let losses = LineChart(
    series: [
      LineSeries(name: "training loss", values: curve.trainingLosses, color: Palette.blue),
      LineSeries(name: "validation loss", values: curve.validationLosses, color: Palette.red),
      LineSeries(
        name: "pseudo Dice", values: curve.pseudoDice, color: Palette.green.faded(to: 0.55), width: 1.5,
        dash: [2, 3],
        isOnRight: true),
      LineSeries(
        name: "pseudo Dice, smoothed", values: curve.smoothedPseudoDice, color: Palette.green, isOnRight: true
      ),
    ], leftTitle: "loss", rightTitle: "pseudo Dice", rightRange: [0, 1])
  losses.draw(on: canvas, frame: Box(x: 80, y: 90, width: 740, height: 350))
  let durations = LineChart(
    series: [LineSeries(name: "seconds per epoch", values: curve.epochSeconds, color: Palette.purple)],
    leftTitle: "seconds")
  durations.draw(on: canvas, frame: Box(x: 80, y: 490, width: 740, height: 120))
  let rates = LineChart(
    series: [LineSeries(name: "learning rate", values: curve.learningRates, color: Palette.blue)],
    leftTitle: "learning rate", stepTitle: "epoch")
  rates.draw(on: canvas, frame: Box(x: 80, y: 660, width: 740, height: 120))
  try canvas.write()
}
