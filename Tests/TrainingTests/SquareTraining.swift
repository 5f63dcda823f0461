// A small network on flat images with one bright square: what the tests of the trainer and of checkpoints train.

import Archives
import Backends
import Datasets
import Foundation
import Planning
import Reporting
import Tensors
import TestSupport
import Training
import Volumes

/// A flat image with one bright square, labelled 1; squares lie elsewhere in every case.
private struct SquareCase: PatchCase {
  let corner: [Int]
  var kind = SquareKind.labels
  let shape = [1, 24, 24]
  let channelCount = 1

  var foregroundCandidates: [ForegroundCandidates] {
    [
      ForegroundCandidates(
        voxels: NDArray(shape: [1, 3], elements: [0, Int32(corner[0] + 4), Int32(corner[1] + 4)]))
    ]
  }

  private func isInside(_ y: Int, _ x: Int) -> Bool {
    (corner[0]..<corner[0] + 8).contains(y) && (corner[1]..<corner[1] + 8).contains(x)
  }

  private func read<T>(_ box: BoundingBox, outside: T, _ value: (Int, Int) -> T) -> NDArray<T> {
    var elements: [T] = []
    for y in box.lower[1]..<box.upper[1] {
      for x in box.lower[2]..<box.upper[2] {
        let isImage = (0..<24).contains(y) && (0..<24).contains(x)
        elements.append(isImage ? value(y, x) : outside)
      }
    }
    return NDArray(shape: box.shape, elements: elements)
  }

  func readImage(in box: BoundingBox) -> NDArray<Float> {
    let plane = read(box, outside: Float(0)) { y, x in
      Float((y * 7 + x * 5) % 9) / 9 - 0.5 + (isInside(y, x) ? 2 : 0)
    }
    return plane.reshaped([1] + box.shape)
  }

  func readSegmentation(in box: BoundingBox) -> NDArray<Int16> {
    read(box, outside: Int16(-1)) { y, x in isInside(y, x) ? (kind == .labels || y % 2 == 0 ? 1 : 2) : 0 }
  }

  /// A square that lies one voxel lower than the true one.
  func readPreviousStage(in box: BoundingBox) -> NDArray<Int16>? {
    kind == .cascade ? read(box, outside: Int16(-1)) { y, x in isInside(y - 1, x) ? 1 : 0 } : nil
  }
}

private struct Squares: PatchSource {
  var kind = SquareKind.labels
  let identifiers = ["a", "b", "c", "d"]
  func open(_ identifier: String) -> any PatchCase {
    SquareCase(
      corner: ["a": [2, 3], "b": [9, 12], "c": [14, 5], "d": [6, 15]][identifier] ?? [0, 0],
      kind: kind)
  }
}

/// What the network is trained for.
enum SquareKind: CaseIterable {
  case labels, regions, cascade

  var labels: LabelScheme {
    get throws {
      var entries = [LabelScheme.Entry(name: "background", value: .label(0))]
      switch self {
      case .labels: entries.append(.init(name: "square", value: .label(1)))
      case .regions:
        entries += [.init(name: "square", value: .region([1, 2])), .init(name: "odd", value: .label(2))]
      case .cascade:
        entries += [.init(name: "even", value: .label(1)), .init(name: "odd", value: .label(2))]
      }
      return try LabelScheme(
        entries: entries, regionsClassOrder: self == .regions ? [1, 2] : nil, source: "test")
    }
  }
}

private let plans: JSON = [
  "dataset_name": "Dataset001_Squares", "plans_name": "nnUNetPlans", "image_reader_writer": "SimpleITKIO",
  "original_median_spacing_after_transp": [1.0, 1.0, 1.0],
  "original_median_shape_after_transp": [1, 24, 24],
  "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
  "experiment_planner_used": "ExperimentPlanner",
  "label_manager": "LabelManager",
  "foreground_intensity_properties_per_channel": [
    "0": [
      "max": 2.0, "mean": 1.0, "median": 1.0, "min": 0.0, "percentile_00_5": 0.0, "percentile_99_5": 2.0,
      "std": 1.0,
    ]
  ],
  "configurations": [
    "2d": [
      "data_identifier": "nnUNetPlans_2d", "preprocessor_name": "DefaultPreprocessor", "batch_size": 4,
      "patch_size": [16, 16], "median_image_size_in_voxels": [24.0, 24.0], "spacing": [1.0, 1.0],
      "normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": [false],
      "resampling_fn_data": "resample_data_or_seg_to_shape",
      "resampling_fn_seg": "resample_data_or_seg_to_shape",
      "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
      "resampling_fn_data_kwargs": ["is_seg": false, "order": 3, "order_z": 0, "force_separate_z": .null],
      "resampling_fn_seg_kwargs": ["is_seg": true, "order": 1, "order_z": 0, "force_separate_z": .null],
      "resampling_fn_probabilities_kwargs": [
        "is_seg": false, "order": 1, "order_z": 0, "force_separate_z": .null,
      ],
      "batch_dice": true,
      "architecture": [
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": [
          "n_stages": 3, "features_per_stage": [16, 16, 16], "kernel_sizes": [[3, 3], [3, 3], [3, 3]],
          "strides": [[1, 1], [2, 2], [2, 2]], "n_conv_per_stage": [1, 1, 1],
          "n_conv_per_stage_decoder": [1, 1], "conv_bias": true,
          "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d",
          "norm_op_kwargs": ["eps": 1e-5, "affine": true], "nonlin": "torch.nn.LeakyReLU",
        ],
      ],
    ]
  ],
]

/// The same with a previous stage.
private var cascadePlans: JSON {
  var plans = plans.object ?? [:]
  var configurations = plans["configurations"]?.object ?? [:]
  var configuration = configurations["2d"]?.object ?? [:]
  configuration["previous_stage"] = "2d_lowres"
  configurations["2d"] = .object(configuration)
  plans["configurations"] = .object(configurations)
  return .object(plans)
}

func squareTrainer(
  _ kind: SquareKind = .labels, in folder: URL, epochs: Int, seed: Int = 1,
  hooks: TrainerHooks = TrainerHooks(), architecture: JSON? = nil,
  cancellation: CancellationFlag = CancellationFlag(),
  _ change: (inout TrainerSettings) -> Void = { _ in }
) throws -> Trainer {
  var plans = try Plans(json: kind == .cascade ? cascadePlans : plans, source: "test")
  if let architecture { plans = try plans.replacingArchitecture(of: "2d", by: architecture) }
  let squares = Squares(kind: kind)
  let task = TrainingTask(
    plans: plans, configuration: try plans.configuration(named: "2d"), labels: try kind.labels, dataset: [:],
    channelCount: 1,
    fold: .number(0), training: squares, validation: squares, folder: folder, seed: seed)
  var settings = TrainerSettings()
  settings.epochs = epochs
  settings.iterations = 12
  settings.validationIterations = 2
  change(&settings)
  return try Trainer(
    task, settings: settings, hooks: hooks, backend: CPUBackend(), cancellation: cancellation)
}
