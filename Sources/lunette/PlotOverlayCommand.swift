// plot_overlay_pngs: pictures of the training cases with their labels, and with predictions.

import ArgumentParser
import Datasets
import Foundation
import Pipelines
import Reporting

/// Draws one picture per case.
struct PlotOverlayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plot_overlay_pngs",
    abstract: "Draw each training case with its labels, and with predictions, as a PNG.",
    discussion: """
      Shown are the slices along each axis that hold most of the labels (the highest mean over the labels of the \
      share that lies in a slice), in true proportions, as radiologists look at them. Cases that cannot be read are \
      listed, the others are drawn, and the command ends with an error.

      -pred FOLDER draws the predictions of a folder beside the reference, with both outlines over each other \
      (reference in the label's colour, prediction dashed in white) and the Dice of each label. It takes raw data, \
      and only the cases that have a prediction.
      """)

  @Option(name: .customShort("d"), help: ArgumentHelp("Dataset, by number or name.", valueName: "dataset"))
  var dataset: String

  @Option(name: .customShort("o"), help: ArgumentHelp("Folder for the pictures.", valueName: "folder"))
  var output: String

  @Option(
    name: .dashed("np"),
    help: ArgumentHelp("Accepted; the threads of one process do the work.", valueName: "count"))
  var processCount: Int?

  @Option(
    name: .dashed("channel_idx"),
    help: ArgumentHelp(
      "Channel to show, counted from 0; if left out the first, or colours where the channels are R, G, B.",
      valueName: "number"))
  var channel: Int?

  @Flag(name: .switched("use_raw"), help: "Draw raw data; else what preprocessing made of it.")
  var usesRaw = false

  @Option(name: .customShort("p"), help: ArgumentHelp("Plans, without --use_raw.", valueName: "plans"))
  var plans = "nnUNetPlans"

  @Option(
    name: .customShort("c"),
    help: ArgumentHelp(
      "Configuration, without --use_raw; 3d_fullres if the plans have it, else 2d.",
      valueName: "configuration"))
  var configurationName: String?

  @Option(
    name: .dashed("overlay_intensity"),
    help: ArgumentHelp("How strongly labels cover the image, from 0 to 1.", valueName: "share"))
  var intensity = 0.6

  @Option(
    name: .dashed("pred"),
    help: ArgumentHelp("Folder of predictions to draw over the reference.", valueName: "folder"))
  var predictions: String?

  @OptionGroup var folders: FolderOptions

  func validate() throws {
    guard (0...1).contains(intensity) else {
      throw ValidationError("-overlay_intensity takes a number from 0 to 1, not \(intensity)")
    }
    guard channel ?? 0 >= 0 else { throw ValidationError("-channel_idx counts from 0") }
  }

  func run() throws {
    Unsupported.remarkProcesses(processCount != nil, "-np")
    let pipeline = folders.pipeline()
    let content: OverlayRequest.Content =
      if let predictions {
        .predictions(URL(filePath: predictions))
      } else if usesRaw {
        .raw
      } else {
        .preprocessed(plans: plans, configuration: configurationName)
      }
    try pipeline.drawOverlays(
      OverlayRequest(
        dataset: try pipeline.roots.resolveName(dataset), content: content, channel: channel,
        intensity: intensity, output: URL(filePath: output)))
  }
}
