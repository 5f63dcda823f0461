// Trainer settings as JSON: round trip, unknown keys, values out of range; the log's moving average.

import Archives
import Foundation
import Reporting
import Testing
import Training

@Suite struct TrainerSettingsTests {
  @Test("Settings survive a round trip")
  func roundTrip() throws {
    var settings = TrainerSettings()
    settings.name = "Mine"
    settings.epochs = 5
    settings.mirrorAxes = [0, 2]
    settings.batchDice = true
    #expect(try TrainerSettings(json: settings.json, source: "test") == settings)
  }

  @Test("An unknown key names the nearest one")
  func unknownKey() {
    let error = #expect(throws: Diagnostic.self) {
      try TrainerSettings(json: ["epoch": 5], source: "recipe.lua")
    }
    #expect(error?.remedy == "did you mean \"epochs\"?")
  }

  @Test(
    "Values a key cannot take are refused",
    arguments: [("epochs", "0"), ("momentum", "2"), ("nesterov", "1"), ("clip_norm", "0")])
  func badValues(_ key: String, _ value: String) throws {
    let json = try JSON(parsing: "{\"\(key)\": \(value)}", source: "test")
    #expect { try TrainerSettings(json: json, source: "test") } throws: { "\($0)".contains(key) }
  }

  @Test("The moving average starts at the first mean and is kept in float")
  func movingAverage() {
    var log = TrainingLog()
    func add(_ dice: [Double]) -> EpochSummary {
      log.append(trainingLoss: 0, validationLoss: 0, dicePerClass: dice, learningRate: 0, start: 0, end: 1)
    }
    #expect(add([0.5, .nan]).movingAverageDice == 0.5)
    let second = add([0.7, 0.9])
    #expect(second.meanDice == 0.8)
    #expect(second.movingAverageDice == Double(Float(0.9) * Float(0.5) + Float(0.1) * Float(0.8)))
    #expect(TrainingLog(json: log.json)?.epochs.last == log.last)
  }
}
