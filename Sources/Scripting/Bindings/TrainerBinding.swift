// `lunette.trainer`: a training procedure as a value: nnU-Net's constants, functions that replace a step, and observers.

package import Archives
import Augmentation
import Foundation
package import LuaHost
import Networks
package import Pipelines
import Reporting
package import Training

/// A trainer in scripts; a description that is never changed in place.
package final class TrainerObject: ScriptObject {
  package let settings: TrainerSettings
  /// The functions and objects that were given, by key; those under `observe` with that prefix.
  let functions: [String: LuaValue]

  init(settings: TrainerSettings, functions: [String: LuaValue]) {
    self.settings = settings
    self.functions = functions
  }

  package var luaAnchors: [LuaValue] { Array(functions.values) }

  package var luaDescription: String {
    let given = functions.keys.sorted().joined(separator: ", ")
    return "trainer \(settings.name) (\(settings.epochs) epochs of \(settings.iterations) iterations)"
      + (given.isEmpty ? "" : " with \(given)")
  }

  package var dynamicFieldNames: [String] { settings.json.object?.keys ?? [] }
  package func dynamicField(_ name: String) throws -> LuaValue? {
    if let value = functions[name] { return value }
    return settings.json[name].map { LuaValue($0) }
  }

  package static let schema = ObjectSchema(
    "trainer", "A training procedure; its other fields are the constants it was made with.",
    example:
      "local five = lunette.trainer{ name=\"nnUNetTrainer_5epochs\", epochs=5 }\nprint(five.initial_lr)",
    methods: [
      .method(
        FunctionSchema(
          "trainer:derive", "Makes a new trainer with some keys replaced.",
          parameters: parameters.map { $0.withoutDefault }, positional: 0, returns: "a trainer",
          example: "local longer = lunette.trainer{ epochs=5 }:derive{ name=\"longer\", epochs=20 }")
      ) { (it: TrainerObject, arguments) in
        .object(try make(from: it.settings, it.functions, arguments))
      }
    ])

  // MARK: the keys

  private static let constants:
    [(key: String, type: ParameterType, range: ClosedRange<Double>?, help: String)] = [
      ("name", .string, nil, "the name that result folders carry"),
      ("epochs", .integer, 1...1e300, "how many epochs to train"),
      ("iterations", .integer, 1...1e300, "training steps per epoch"),
      ("validation_iterations", .integer, 1...1e300, "validation batches per epoch"),
      ("initial_lr", .number, 0...1000, "the learning rate at the start"),
      ("weight_decay", .number, 0...1, "pulls every parameter to zero"),
      ("optimizer", .choice(["sgd", "adam", "adamw", "adan"]), nil, "what turns gradients into steps"),
      ("amsgrad", .boolean, nil, "lets adam and adamw divide by the largest second moment so far"),
      ("lr_schedule", .choice(["poly", "cosine"]), nil, "how the learning rate falls"),
      ("warmup_epochs", .integer, 0...1e300, "epochs at the start in which the learning rate rises"),
      ("momentum", .number, 0...1, "the share of the last direction that is kept"),
      ("nesterov", .boolean, nil, "looks ahead along the direction"),
      ("foreground_fraction", .number, 0...1, "the share of samples that must show foreground"),
      (
        "oversampling", .choice(["last", "random", "matched"]), nil,
        "which samples must: the last of a batch, each by chance, or by the chance that `last` comes to"
      ),
      ("deep_supervision", .boolean, nil, "compares the coarser resolutions too"),
      (
        "mirror_axes", .list(.integer), nil,
        "axes mirrored in training and prediction, 0 for the first; all by default"
      ),
      ("clip_norm", .number, 1e-9...1e9, "the largest norm of the gradient; 1e9 for as good as none"),
      ("save_every", .integer, 1...1e300, "epochs between two writes of checkpoint_latest"),
      ("batch_dice", .boolean, nil, "sums Dice over the batch; the plan decides by default"),
      ("benchmark", .boolean, nil, "only measures: no checkpoints, no validation, benchmark_result.json"),
      (
        "data_loading", .boolean, nil, "takes batches from the data; if not, one random batch again and again"
      ),
    ]

  private static let overrides = [
    ParameterSchema(
      "loss", .either([.object("loss"), .override("(output, target, ctx)")]),
      "the loss of one resolution, in place of Dice plus cross-entropy: a loss, or a function as for "
        + "lunette.loss.custom"),
    ParameterSchema(
      "augmentation", .either([.object("augmentation"), .override("(pipeline)")]),
      "an augmentation, or a function that gives one from the default"),
    ParameterSchema(
      "schedule", .override("(t)"),
      "gives the learning rate from t.epoch (from 0), t.epochs, t.initial_lr and t.default; nil keeps the default"
    ),
    ParameterSchema(
      "network", .either([.object("layer"), .override("(ctx, default)")]),
      "the network in place of the plan's: a layer of lunette.layer, or a function that gives a layer, or changed "
        + "default(), the plan's architecture as a table. ctx has configuration, patch_size, spacing, input_channels, "
        + "output_channels"),
    ParameterSchema(
      "split", .override("(cases, default)"),
      "gives a list of folds, each { train={...}, val={...} }; default() gives those of splits_final.json"),
    ParameterSchema(
      "step", .override("(ctx, default)"),
      "does one training step and gives its loss; default() does nnU-Net's. ctx has epoch, iteration, cases, images, "
        + "targets, network, optimizer and loss"),
  ]

  private static let observers = ParameterSchema(
    "observe",
    .table([
      ParameterSchema("epoch_start", .observe("(s)"), "before each epoch: s.epoch, from 0"),
      ParameterSchema("iteration_end", .observe("(s)"), "after each step: s.epoch, s.iteration, s.loss"),
      ParameterSchema(
        "epoch_end", .observe("(s)"),
        "after each epoch: s.epoch, s.train_loss, s.val_loss, s.mean_dice, s.ema_dice, s.dice, s.lr, s.seconds"
      ),
    ]), "functions that see the training and cannot change it")

  static let parameters: [ParameterSchema] = {
    let defaults = TrainerSettings().json
    return constants.map { constant in
      ParameterSchema(
        constant.key, constant.type, default: defaults[constant.key].flatMap(ScriptLiteral.init),
        in: constant.range,
        constant.help)
    } + overrides + [observers]
  }()

  /// A trainer from checked arguments over given ones.
  static func make(
    from base: TrainerSettings, _ functions: [String: LuaValue], _ arguments: Arguments
  ) throws -> TrainerObject {
    var settings = base
    var functions = functions
    for constant in constants where arguments.has(constant.key) {
      try settings.set(
        constant.key, arguments[constant.key].json(at: constant.key), source: arguments.schema.name)
    }
    for override in overrides where arguments.has(override.name) {
      functions[override.name] = arguments[override.name]
    }
    for (name, function) in arguments["observe"].table?.fields ?? [:] {
      functions["observe.\(name)"] = function
    }
    return TrainerObject(settings: settings, functions: functions)
  }

  // MARK: what the engine gets

  /// The functions as the trainer calls them, on the thread of the state.
  package func hooks(in state: LuaState) -> TrainerHooks {
    var hooks = TrainerHooks()
    if let loss = functions["loss"]?.object as? LossObject {
      hooks.loss = loss.loss
      hooks.lossFunctions = loss.engineFunctions(in: state)
    } else if let function = functions["loss"]?.function {
      hooks.loss = SegmentationLoss([])
      hooks.lossFunctions = [WeightedLossFunction(1, LossObject.engineFunction(function, in: state))]
    }
    hooks.architecture = architectureHook(in: state)
    hooks.step = stepHook(in: state)
    hooks.split = splitHook(in: state)
    hooks.augmentation = augmentationHook(in: state)
    hooks.schedule = scheduleHook(in: state)
    if let function = functions["observe.epoch_start"]?.function {
      hooks.epochStart = { _ = try function.call([.fields(["epoch": .integer($0)])], in: state) }
    }
    if let function = functions["observe.iteration_end"]?.function {
      hooks.iterationEnd = { epoch, iteration, loss in
        _ = try function.call(
          [.fields(["epoch": .integer(epoch), "iteration": .integer(iteration), "loss": .number(loss)])],
          in: state)
      }
    }
    if let function = functions["observe.epoch_end"]?.function {
      hooks.epochEnd = { _ = try function.call([$0.luaValue], in: state) }
    }
    return hooks
  }

  /// The trainer as the pipeline takes it.
  package func definition(in state: LuaState) throws -> TrainerDefinition {
    let hashes = try overrideContents(in: state).pairs.map { ($0.key, ContentHash($0.value).description) }
    return TrainerDefinition(
      settings: settings, hooks: hooks(in: state), overrides: Dictionary(uniqueKeysWithValues: hashes))
  }

  /// What makes the trainer's results differ from another's: constants, and the text behind each override.
  package func identity(in state: LuaState) throws -> JSON {
    ["settings": settings.json, "overrides": .object(try overrideContents(in: state))]
  }

  private func overrideContents(in state: LuaState) throws -> JSONObject {
    var overrides = JSONObject()
    for (name, value) in functions.sorted(by: { $0.key < $1.key }) where !name.hasPrefix("observe.") {
      if let function = value.function {
        overrides[name] = try FunctionIdentity(of: function, in: state).json
      } else if let augmentation = value.object as? AugmentationObject {
        overrides[name] = augmentation.pipeline.list()
      } else if let loss = value.object as? LossObject {
        overrides[name] = try loss.identity(in: state)
      } else if let object = value.object {
        overrides[name] = .string(object.luaDescription)
      }
    }
    return overrides
  }
}

extension ScriptLiteral {
  /// A JSON value as a default; nil for null and objects.
  init?(_ json: JSON) {
    switch json {
    case .bool(let value): self = .boolean(value)
    case .integer(let value): self = .integer(value)
    case .number(let value): self = .number(value)
    case .string(let value): self = .string(value)
    case .array(let values): self = .list(values.compactMap(ScriptLiteral.init))
    case .null, .object: return nil
    }
  }
}

extension EpochSummary {
  /// The figures as observers see them.
  var luaValue: LuaValue {
    .fields([
      "epoch": .integer(epoch), "train_loss": .number(trainingLoss), "val_loss": .number(validationLoss),
      "mean_dice": .number(meanDice), "ema_dice": .number(movingAverageDice), "dice": .array(dicePerClass),
      "lr": .number(learningRate), "seconds": .number(duration),
    ])
  }
}

extension Binding {
  static let trainer = Binding(
    FunctionSchema(
      "lunette.trainer", "Makes a training procedure; every key left out has nnU-Net's value.",
      parameters: TrainerObject.parameters, positional: 0, returns: "a trainer",
      example: "local five = lunette.trainer{ name=\"nnUNetTrainer_5epochs\", epochs=5,\n"
        + "  observe={ epoch_end=function(s) print(s.epoch, s.train_loss, s.ema_dice) end } }")
  ) { arguments in [.object(try TrainerObject.make(from: TrainerSettings(), [:], arguments))] }
}
