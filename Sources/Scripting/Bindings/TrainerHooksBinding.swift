// The functions of a trainer that replace a step of training, as the engine calls them.

import Archives
import Augmentation
import Backends
import Datasets
import LuaHost
import Networks
import Planning
import Reporting
import Tensors
import Training

extension TrainerObject {
  func scheduleHook(in state: LuaState) -> ((Int) throws -> Double)? {
    guard let function = functions["schedule"]?.function else { return nil }
    return { [settings] epoch in
      let standard = settings.learningRate(epoch: epoch)
      let context: LuaValue = .fields([
        "epoch": .integer(epoch), "epochs": .integer(settings.epochs),
        "initial_lr": .number(settings.initialLearningRate), "default": .number(standard),
      ])
      let answer = try function.call([context], in: state).first ?? .nil
      if answer.isNil { return standard }
      guard let rate = answer.number, rate.isFinite, rate >= 0 else {
        throw Diagnostic(
          "schedule returned what it cannot", expected: "a learning rate from 0, or nil for the default",
          found: "a \(answer.typeName)")
      }
      return rate
    }
  }

  func augmentationHook(
    in state: LuaState
  ) -> ((AugmentationPipeline) throws -> AugmentationPipeline)? {
    guard let value = functions["augmentation"] else { return nil }
    if let object = value.object as? AugmentationObject { return object.pipeline.fitted }
    guard let function = value.function else { return nil }
    return { pipeline in
      guard let answer = try function.call([.object(AugmentationObject(pipeline))], in: state).first else {
        throw Diagnostic(
          "the augmentation function returned nothing", expected: "an augmentation, or nil for the default",
          found: "no return", remedy: "return what without, set and the others give: none changes its object")
      }
      if answer.isNil { return pipeline }
      guard let changed = answer.object as? AugmentationObject else {
        throw Diagnostic(
          "augmentation returned what it cannot", expected: "an augmentation, or nil for the default",
          found: "a \(answer.typeName)")
      }
      return changed.pipeline
    }
  }

  func stepHook(in state: LuaState) -> ((TrainingStep, @escaping () throws -> Double) throws -> Double)? {
    guard let function = functions["step"]?.function else { return nil }
    return { step, standard in
      // The tensors of the last step hold memory that Lua's collector is in no hurry to free.
      try state.collectGarbage()
      var isOver = false
      let fallback = LuaNativeFunction("default of step") { _ in
        guard !isOver else { throw Diagnostic("default() of step was called after its step") }
        return [.number(try standard())]
      }
      defer { isOver = true }
      let answer =
        try function.call([step.luaValue, .function(LuaFunction(fallback))], in: state).first ?? .nil
      guard let loss = try answer.number ?? (answer.object as? TensorObject)?.item() else {
        throw Diagnostic(
          "step returned what it cannot", expected: "the loss of the step, such as default() gives",
          found: "a \(answer.typeName)")
      }
      return loss
    }
  }

  func architectureHook(in state: LuaState) -> ((NetworkRequest) throws -> JSON?)? {
    func json(_ layer: LayerObject, for request: NetworkRequest) -> JSON {
      LayerNetworkSpec(layer.spec, dimensionCount: request.configuration.patchSize.count).json
    }
    if let layer = functions["network"]?.object as? LayerObject { return { json(layer, for: $0) } }
    guard let function = functions["network"]?.function else { return nil }
    return { request in
      let configuration = request.configuration
      let fallback = LuaNativeFunction("default of network") { _ in [LuaValue(configuration.architecture)] }
      let context: LuaValue = .fields([
        "configuration": .string(configuration.name), "patch_size": .array(configuration.patchSize),
        "spacing": .array(configuration.spacing), "input_channels": .integer(request.inputChannelCount),
        "output_channels": .integer(request.outputChannelCount),
      ])
      let answer = try function.call([context, .function(LuaFunction(fallback))], in: state).first ?? .nil
      if answer.isNil { return nil }
      if let layer = answer.object as? LayerObject { return json(layer, for: request) }
      guard answer.table != nil else {
        throw Diagnostic(
          "network returned what it cannot",
          expected: "a layer, a changed table of default(), or nil for the plan's network",
          found: "a \(answer.typeName)")
      }
      let changed = try answer.json(at: "network").restoring(configuration.architecture)
      _ = try NetworkSpec(changed, source: "the trainer's network")
      return changed
    }
  }

  func splitHook(
    in state: LuaState
  ) -> (([String], @escaping () throws -> CrossValidationSplits) throws -> CrossValidationSplits)? {
    guard let function = functions["split"]?.function else { return nil }
    return { cases, standard in
      try DatasetObject.splits(of: cases, by: function, standard: standard, in: state)
    }
  }
}

extension TrainingStep {
  /// The step as functions of scripts see it.
  fileprivate var luaValue: LuaValue {
    .fields([
      "epoch": .integer(epoch), "iteration": .integer(iteration),
      "cases": .array(batch.origins.map(\.identifier)), "images": .object(TensorObject(batch.images)),
      "targets": .array(
        batch.targets.map { .object(TensorObject($0.map(Float.init))) }),
      "network": .object(NetworkObject(network, randomKey: randomKey)),
      "optimizer": .object(OptimizerObject(optimizer)),
      "loss": .object(LossObject(loss, ignoredLabel: ignoredLabel)),
    ])
  }

  private var ignoredLabel: Int? {
    if case .labels(_, let ignored)? = targets.first { ignored } else { nil }
  }
}
