// The list of everything in the `lunette` table.

extension Catalog {
  /// What scripts can reach.
  package static let standard: Catalog = Catalog(
    functions: [
      .roots, .dataset, .phantom, .fingerprint, .plan, .augmentation, .trainer, .train, .model, .ensemble,
      .findBestConfiguration, .volume, .evaluate, .evaluation, .tensor,
      .loadTensor, .filledTensor, .normalTensor, .joinedTensors, .stackedTensors, .network, .dice, .tversky,
      .crossEntropy, .topK, .focal, .customLoss, .deepSupervision, .sgd, .adam,
      .adamw, .adan, .display,
      .reference,
    ] + Binding.layers + Binding.transforms,
    objects: [
      DatasetObject.schema, FingerprintObject.schema, PlanObject.schema, ConfigurationsObject.schema,
      ConfigurationObject.schema, AugmentationObject.schema, AugmentationDrawObject.schema,
      TransformObject.schema,
      TrainerObject.schema, RunObject.schema,
      ModelObject.schema, PredictionObject.schema, EnsembleObject.schema,
      SelectionObject.schema, VolumeObject.schema,
      EvaluationObject.schema, ComparisonObject.schema, TensorObject.schema, NetworkObject.schema,
      LayerObject.schema,
      ParametersObject.schema,
      LossObject.schema, OptimizerObject.schema,
    ])
}
