// A panel of lines over numbered steps, with one value axis on the left and perhaps another on the right.

/// One line of a chart.
struct LineSeries {
  var name: String
  /// One value per step; not-a-number leaves a gap.
  var values: [Double]
  var color: Color
  var width = 2.0
  var dash: [Double] = []
  var isOnRight = false
}

/// Lines that share a panel.
struct LineChart {
  var series: [LineSeries]
  var leftTitle: String
  var rightTitle: String?
  /// Values the right axis covers besides those of its lines.
  var rightRange: [Double] = []
  /// The title below the steps; `nil` leaves it and the step numbers out.
  var stepTitle: String?

  /// Draws frame, grid, lines and, above the frame, the legend.
  func draw(on canvas: Canvas, frame: Box) {
    let stepCount = series.map(\.values.count).max() ?? 0
    let steps = AxisScale(covering: [0, Double(max(1, stepCount - 1))], tickCount: 8, wholeNumbers: true)
    let left = AxisScale(covering: series.filter { !$0.isOnRight }.flatMap(\.values))
    let right = AxisScale(covering: rightRange + series.filter(\.isOnRight).flatMap(\.values))
    drawGrid(on: canvas, frame: frame, steps: steps, left: left)
    if rightTitle != nil { drawRightAxis(on: canvas, frame: frame, scale: right) }
    let last = Double(max(1, stepCount - 1))
    canvas.clipped(to: Box(x: frame.x - 4, y: frame.y - 4, width: frame.width + 8, height: frame.height + 8))
    {
      for line in series {
        let scale = line.isOnRight ? right : left
        let points = line.values.enumerated().map { index, value in
          (
            x: frame.x + Double(index) / last * frame.width,
            y: frame.y + frame.height * (1 - scale.position(value))
          )
        }
        let runs = points.split { !$0.y.isFinite }.map(Array.init)
        canvas.stroke(runs.filter { $0.count > 1 }, line.color, width: line.width, dash: line.dash)
        for run in runs where run.count == 1 {
          canvas.fillCircle(x: run[0].x, y: run[0].y, radius: 3, line.color)
        }
      }
    }
    canvas.stroke(frame, Palette.frame, width: 1)
    drawLegend(on: canvas, frame: frame)
  }

  private func drawGrid(on canvas: Canvas, frame: Box, steps: AxisScale, left: AxisScale) {
    for tick in left.ticks {
      let y = frame.y + frame.height * (1 - left.position(tick))
      canvas.stroke([[(frame.x, y), (frame.x + frame.width, y)]], Palette.grid, width: 1)
      canvas.text(
        left.text(tick), x: frame.x - 8, y: y + 4, style: TextStyle(color: Palette.faintText, anchor: .right))
    }
    let last = Double(max(1, (series.map(\.values.count).max() ?? 0) - 1))
    for tick in steps.ticks where tick >= 0 && tick <= last {
      let x = frame.x + tick / last * frame.width
      canvas.stroke([[(x, frame.y), (x, frame.y + frame.height)]], Palette.grid, width: 1)
      if stepTitle != nil {
        canvas.text(
          steps.text(tick), x: x, y: frame.y + frame.height + 18,
          style: TextStyle(color: Palette.faintText, anchor: .center))
      }
    }
    if let stepTitle {
      canvas.text(
        stepTitle, x: frame.x + frame.width / 2, y: frame.y + frame.height + 38,
        style: TextStyle(anchor: .center))
    }
    canvas.text(
      leftTitle, x: frame.x - 56, y: frame.y + frame.height / 2,
      style: TextStyle(anchor: .center, isUpright: true))
  }

  private func drawRightAxis(on canvas: Canvas, frame: Box, scale: AxisScale) {
    let x = frame.x + frame.width
    for tick in scale.ticks {
      let y = frame.y + frame.height * (1 - scale.position(tick))
      canvas.stroke([[(x, y), (x + 4, y)]], Palette.frame, width: 1)
      canvas.text(scale.text(tick), x: x + 8, y: y + 4, style: TextStyle(color: Palette.faintText))
    }
    canvas.text(
      rightTitle ?? "", x: x + 56, y: frame.y + frame.height / 2,
      style: TextStyle(anchor: .center, isUpright: true))
  }

  private func drawLegend(on canvas: Canvas, frame: Box) {
    var x = frame.x
    let y = frame.y - 14
    for line in series {
      canvas.stroke([[(x, y - 4), (x + 26, y - 4)]], line.color, width: max(2, line.width), dash: line.dash)
      canvas.text(line.name, x: x + 33, y: y)
      x += 33 + canvas.width(of: line.name, size: TextStyle().size) + 24
    }
  }
}
