// What plans may ask of the U-Nets, and what is refused with a word on what is possible.

import Archives
import Backends
import Networks
import Reporting
import Tensors
import Testing

/// An architecture of two stages with other or more arguments.
func smallArchitecture(
  residual: Bool = false, rank: Int = 2, _ changes: [String: JSON] = [:], without removed: [String] = []
) -> JSON {
  var arguments: JSONObject = [
    "n_stages": 2, "features_per_stage": [8, 12],
    "conv_op": .string("torch.nn.modules.conv.Conv\(rank)d"), "kernel_sizes": 3,
    "strides": .array([1, 2]), "n_conv_per_stage_decoder": 1, "conv_bias": true,
    "norm_op": .string("torch.nn.modules.instancenorm.InstanceNorm\(rank)d"),
    "norm_op_kwargs": ["eps": 1e-5, "affine": true], "dropout_op": .null, "dropout_op_kwargs": .null,
    "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": ["inplace": true],
  ]
  arguments[residual ? "n_blocks_per_stage" : "n_conv_per_stage"] = 1
  for (key, value) in changes { arguments[key] = value }
  for key in removed { arguments[key] = nil }
  let className = residual ? "ResidualEncoderUNet" : "PlainConvUNet"
  return [
    "network_class_name": .string("dynamic_network_architectures.architectures.unet.\(className)"),
    "arch_kwargs": .object(arguments),
  ]
}

@Suite(.serialized) struct ArchitectureSpecTests {
  private func spec(
    residual: Bool = false, rank: Int = 2, _ changes: [String: JSON] = [:], without removed: [String] = []
  ) throws -> ArchitectureSpec {
    try ArchitectureSpec(
      smallArchitecture(residual: residual, rank: rank, changes, without: removed), source: "plans")
  }

  @Test("One number stands for all stages and axes; nulls and missing keys are the reference's defaults")
  func defaults() throws {
    let spec = try spec(rank: 3, ["features_per_stage": 8, "strides": [1, [1, 2, 2]]])
    #expect(spec.featuresPerStage == [8, 8])
    #expect(spec.kernelSizes == [[3, 3, 3], [3, 3, 3]])
    #expect(spec.strides == [[1, 1, 1], [1, 2, 2]])
    #expect(spec.block == BlockSpec())
    let bare = try self.spec(without: ["conv_bias", "norm_op", "norm_op_kwargs", "nonlin", "nonlin_kwargs"])
    #expect(bare.block == BlockSpec(hasBias: false, norm: nil, activation: nil))
    let instance = try self.spec(["norm_op_kwargs": .null]).block.norm
    #expect(instance == NormalizationSpec(kind: .instance, hasScale: false, hasShift: false))
    let batch = try self.spec(["norm_op": "torch.nn.BatchNorm2d", "norm_op_kwargs": []]).block.norm
    #expect(batch == NormalizationSpec(kind: .batch, tracksStatistics: true))
    let mean = try self.spec(
      ["norm_op": "torch.nn.BatchNorm2d", "norm_op_kwargs": ["momentum": .null, "bias": false]]
    ).block.norm
    #expect(
      mean == NormalizationSpec(kind: .batch, hasShift: false, tracksStatistics: true, momentum: nil))
  }

  @Test("Activations, dropout and residual blocks are read with their arguments")
  func arguments() throws {
    func activation(_ name: String, _ arguments: JSON = .null) throws -> ActivationSpec? {
      try spec(["nonlin": .string(name), "nonlin_kwargs": arguments]).block.activation
    }
    #expect(
      try activation("torch.nn.LeakyReLU", ["negative_slope": 0.2]) == .function(.leakyReLU(slope: 0.2)))
    #expect(
      try activation("torch.nn.modules.activation.ReLU", ["inplace": true])
        == .function(.leakyReLU(slope: 0)))
    #expect(try activation("torch.nn.ELU", ["alpha": 0.5]) == .function(.elu(alpha: 0.5)))
    #expect(
      try activation("torch.nn.GELU", ["approximate": "tanh"]) == .function(.gelu(isApproximate: true)))
    #expect(try activation("torch.nn.PReLU", ["init": 0.1]) == .parametricReLU(initialSlope: 0.1))
    let dropped: JSON = ["p": 0.3, "inplace": true]
    func dropout(_ name: String, rank: Int) throws -> DropoutSettings? {
      try spec(rank: rank, ["dropout_op": .string("torch.nn.\(name)"), "dropout_op_kwargs": dropped]).block
        .dropout
    }
    #expect(try dropout("Dropout", rank: 2) == DropoutSettings(.element, probability: 0.3))
    #expect(try dropout("Dropout2d", rank: 3) == DropoutSettings(.channel, probability: 0.3))
    #expect(try dropout("Dropout3d", rank: 3) == DropoutSettings(.channel, probability: 0.3))
    #expect(try dropout("Dropout3d", rank: 2) == DropoutSettings(.sample, probability: 0.3))
    let residual = try spec(
      residual: true,
      [
        "block": "dynamic_network_architectures.building_blocks.residual.BottleneckD",
        "bottleneck_channels": [4, 6], "stem_channels": 10, "stochastic_depth_p": 0.1,
        "squeeze_excitation": true,
      ])
    #expect(residual.stemChannelCount == 10)
    #expect(
      residual.residualBlocks == [
        ResidualSpec(bottleneckChannelCount: 4, stochasticDepth: 0.1, squeezeRatio: 1.0 / 16),
        ResidualSpec(bottleneckChannelCount: 6, stochasticDepth: 0.1, squeezeRatio: 1.0 / 16),
      ])
  }

  private static let refused: [(Bool, [String: JSON], String)] = [
    (false, ["norm_op": "torch.nn.GroupNorm"], "BatchNorm2d"),
    (false, ["norm_op": "torch.nn.modules.batchnorm.BatchNorm3d"], "BatchNorm2d"),
    (false, ["norm_op_kwargs": ["epsilon": 1e-5]], "epsilon"),
    (false, ["norm_op_kwargs": ["eps": "small"]], "\"eps\""),
    (false, ["dropout_op": "torch.nn.AlphaDropout"], "Dropout2d"),
    (false, ["dropout_op": "torch.nn.Dropout", "dropout_op_kwargs": ["p": 1.5]], "\"p\""),
    (false, ["nonlin": "torch.nn.Softmax"], "SiLU"),
    (false, ["nonlin": "torch.nn.PReLU", "nonlin_kwargs": ["num_parameters": 8]], "num_parameters"),
    (false, ["conv_op": "torch.nn.Conv1d"], "Conv3d"),
    (false, ["kernel_sizes": [[3, 3], [3, 3, 3]]], "2 lists of 2"),
    (false, ["kernel_sizes": [2, 3]], "odd numbers"),
    (false, ["strides": [2, 2]], "first stage"),
    (false, ["n_stages": 1, "features_per_stage": [8]], "from 2"),
    (false, ["n_conv_per_stage": [1, 0]], "from 1"),
    (false, ["stochastic_depth_p": 0.1], "no argument \"stochastic_depth_p\""),
    (false, ["nonlin_frist": true], "did you mean \"nonlin_first\""),
    (true, ["nonlin_first": true], "no argument \"nonlin_first\""),
    (true, ["block": "x.BottleneckD"], "bottleneck_channels"),
    (true, ["block": "x.Bottleneck"], "BasicBlockD"),
  ]

  @Test("What cannot be built is refused by its key, with what is possible", arguments: refused)
  func refusals(_ residual: Bool, _ changes: [String: JSON], _ words: String) {
    let error = #expect(throws: Diagnostic.self) { try spec(residual: residual, changes) }
    #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
  }

  @Test("Images that the strides do not divide are refused before anything is computed")
  func extents() throws {
    let backend = try CPUBackend()
    for residual in [false, true] {
      let network = makeNetwork(
        try spec(residual: residual), inputChannelCount: 1, outputChannelCount: 2, seed: 0, backend: backend)
      let error = #expect(throws: Diagnostic.self) {
        try network.predict(Tensor(NDArray(shape: [1, 1, 8, 7], repeating: 0), pool: backend.pool))
      }
      #expect(error?.description.contains("divides") == true)
    }
  }
}
