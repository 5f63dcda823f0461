---@meta
-- Made from the schemas in the program.

lunette = {}

lunette.loss = {}

lunette.optimizer = {}

lunette.tensor = {}

---Shows or sets the folders of raw data, preprocessed data and results.
---@param arguments { root?: string, raw?: string, preprocessed?: string, results?: string }|string
function lunette.roots(arguments) end

---Opens a dataset in nnU-Net's raw layout.
---@param name integer|string its number, its full name, or the path of its folder
function lunette.dataset(name) end

---Opens the built-in phantom dataset, and makes it first when it is not there.
---@param arguments { cases?: integer }
function lunette.phantom(arguments) end

---Reads a dataset_fingerprint.json, or the fingerprint of a dataset.
---@param source lunette.dataset|string a dataset, or the file's path
function lunette.fingerprint(source) end

---Plans a dataset, or reads plans from a file.
---@param arguments { dataset: lunette.dataset|string|integer, fingerprint?: lunette.fingerprint, planner?: string, memory_gb?: number, target_spacing?: (number)[], name?: string, rules?: table }|lunette.dataset|string|integer
function lunette.plan(arguments) end

---Gives the default augmentation of a configuration.
---@param arguments { plan: lunette.plan, configuration: string, mirror_axes?: (integer)[] }|lunette.plan
function lunette.augmentation(arguments) end

---Makes a training procedure; every key left out has nnU-Net's value.
---@param arguments { name?: string, epochs?: integer, iterations?: integer, validation_iterations?: integer, initial_lr?: number, weight_decay?: number, optimizer?: "sgd"|"adam"|"adamw"|"adan", amsgrad?: boolean, lr_schedule?: "poly"|"cosine", warmup_epochs?: integer, momentum?: number, nesterov?: boolean, foreground_fraction?: number, oversampling?: "last"|"random"|"matched", deep_supervision?: boolean, mirror_axes?: (integer)[], clip_norm?: number, save_every?: integer, batch_dice?: boolean, benchmark?: boolean, data_loading?: boolean, loss?: lunette.loss, augmentation?: lunette.augmentation|function, schedule?: function, observe?: table }
function lunette.trainer(arguments) end

---Trains one fold: preprocesses what is missing, resumes an unfinished run of the same settings, returns a finished one.
---@param arguments { plan: lunette.plan, configuration?: string, fold?: integer|"all", trainer?: lunette.trainer, seed?: integer, precision?: "auto"|"fp32"|"bf16", overwrite?: boolean }
function lunette.train(arguments) end

---Opens a trained model's folder, of this program or of nnU-Net.
---@param folder string a folder TRAINER__PLANS__CONFIGURATION
function lunette.model(folder) end

---Combines several models by their probabilities.
---@param arguments { models: (lunette.model)[], weights?: (number)[], combine?: function }
function lunette.ensemble(arguments) end

---Reads an image or label map.
---@param path string an image file of one channel: NIfTI, NRRD, PNG, ...
function lunette.volume(path) end

---Scores a folder of predictions against references of the same file names.
---@param arguments { reference: string, prediction: string, labels: (any)[]|table<string, any>, ignore_label?: integer, file_ending?: string, allow_missing?: boolean }
function lunette.evaluate(arguments) end

---Makes a tensor from numbers in nested tables.
---@param values any a number, or nested lists of equal length
function lunette.tensor(values) end

---Reads a .npy file.
---@param path string the file
function lunette.tensor.load(path) end

---Builds a network, with random weights or those of a file.
---@param arguments { architecture: string|table<string, any>, weights?: string, input_channels: integer, output_channels: integer, seed?: integer }
function lunette.network(arguments) end

---Soft Dice over the classes.
---@param arguments { batch?: boolean, background?: boolean, smoothing?: number }
function lunette.loss.dice(arguments) end

---Tversky's overlap: Dice with weights of its own for what is predicted too much and too little.
---@param arguments { alpha?: number, beta?: number, batch?: boolean, background?: boolean, smoothing?: number }
function lunette.loss.tversky(arguments) end

---Cross-entropy over labels, or binary cross-entropy over regions.
---@param arguments { label_smoothing?: number }
function lunette.loss.cross_entropy(arguments) end

---Cross-entropy over the voxels where it is largest; labels only.
---@param arguments { percent?: number, label_smoothing?: number }
function lunette.loss.top_k(arguments) end

---Cross-entropy that counts less where the prediction is already right; labels only.
---@param arguments { gamma?: number }
function lunette.loss.focal(arguments) end

---Spreads a loss over the resolutions of a network.
---@param loss lunette.loss the loss of one resolution
---@param weights (number)[] one weight per resolution, finest first; 0 leaves one out
function lunette.loss.deep_supervision(loss, weights) end

---Stochastic gradient descent with momentum, as nnU-Net uses it.
---@param arguments { parameters: lunette.parameters, lr?: number, momentum?: number, nesterov?: boolean, weight_decay?: number }
function lunette.optimizer.sgd(arguments) end

---Adam, with decay added to the gradient.
---@param arguments { parameters: lunette.parameters, lr?: number, weight_decay?: number, amsgrad?: boolean }
function lunette.optimizer.adam(arguments) end

---Adam with decoupled decay.
---@param arguments { parameters: lunette.parameters, lr?: number, weight_decay?: number, amsgrad?: boolean }
function lunette.optimizer.adamw(arguments) end

---Adan: Nesterov momentum from gradient differences.
---@param arguments { parameters: lunette.parameters, lr?: number, weight_decay?: number }
function lunette.optimizer.adan(arguments) end

---Gives the reference of all functions and types as text.
---@param format? "markdown"|"stubs" a Markdown page, or LuaCATS stubs for editors
function lunette.reference(format) end

---A dataset in nnU-Net's raw layout.
---@class lunette.dataset
---@field name string the full name, such as Dataset004_Hippocampus
---@field folder string where it lies
---@field channels (string)[] the channel names in file order
---@field labels table<string, any> label names with their value, or list of values for a region
---@field region_order (integer)[] the value painted for each region, in declaration order
---@field file_ending string the ending of image files
---@field cases (string)[] the identifiers of the training cases
local dataset = {}

---Checks every image and label file of the dataset.
function dataset:verify() end

---Reads the dataset's fingerprint, or computes and saves it when there is none.
---@param again? boolean computes it even when there is one
function dataset:fingerprint(again) end

---The files of one training case.
---@param identifier string the case's identifier, as in ds.cases
function dataset:case(identifier) end

---Gives the cases that train and those that validate, for every fold.
---@param arguments { rule?: function, overwrite?: boolean }
function dataset:splits(arguments) end

---Spacings, shapes and intensities of a dataset's cases.
---@class lunette.fingerprint
---@field spacings ((number)[])[] millimetres per case, in the axis order of the files
---@field shapes ((integer)[])[] voxels per case after cropping to nonzero
---@field intensities (table<string, number>)[] foreground statistics per channel: mean, std, percentiles
---@field relative_size number the median share of voxels that cropping to nonzero keeps
local fingerprint = {}

---The whole fingerprint as a table, named as in dataset_fingerprint.json.
function fingerprint:table() end

---What was decided for a dataset, per configuration; other fields are the keys of nnUNetPlans.json.
---@class lunette.plan
---@field name string the plans' name, such as nnUNetPlans
---@field dataset lunette.dataset the dataset, when it is at hand
---@field configurations lunette.configurations the configurations by name
local plan = {}

---Says which rule decided a value, from what, and whether it was overridden.
---@param path string a value such as 3d_fullres.patch_size; a configuration alone gives a table of all
function plan:why(path) end

---The whole plans file as a table.
function plan:table() end

---Lists the values in which two plans differ.
---@param other lunette.plan the plan to compare with
function plan:diff(other) end

---Makes new plans with some values replaced, checked and repaired.
---@param arguments { name: string }
function plan:derive(arguments) end

---Predicts the memory that training a configuration takes.
---@param arguments { configuration: string, precision?: "fp32"|"bf16" }|string
function plan:memory(arguments) end

---Writes the plans, to the dataset's preprocessed folder or to a file.
---@param path? string a file; the dataset's folder when left out
function plan:save(path) end

---The configurations of a plan, by name.
---@class lunette.configurations
local configurations = {}

---A configuration of a plan; its fields are the keys of nnUNetPlans.json.
---@class lunette.configuration
---@field name string the configuration's name
local configuration = {}

---The whole configuration as a table, inheritance resolved.
function configuration:table() end

---A list of named transforms with their parameters; the other fields are the transforms.
---@class lunette.augmentation
---@field patch_size (integer)[] the patch that the network sees
---@field initial_patch_size (integer)[] the larger patch that is read before rotation and scaling
local augmentation = {}

---Lists the transforms in order, with their parameters.
function augmentation:list() end

---Gives the pipeline without one transform.
---@param name string the transform's name, as in aug:list()
function augmentation:without(name) end

---Gives the pipeline with some parameters of a transform changed.
---@param name string the transform's name, as in aug:list()
---@param parameters table<string, any> the parameters to change, as in aug[name]
function augmentation:set(name, parameters) end

---Draws every random number of one sample.
---@param seed? integer the key of the random numbers
---@param channels? integer how many channels the image has
function augmentation:draw(seed, channels) end

---Applies a draw to an image and its labels.
---@param image lunette.tensor channels and voxels of the initial patch
---@param segmentation lunette.tensor label maps of the same extents
---@param draw lunette.draw what aug:draw gave
function augmentation:apply(image, segmentation, draw) end

---Every random number of one augmented sample; its fields are the transforms that act.
---@class lunette.draw
local draw = {}

---A training procedure; its other fields are the constants it was made with.
---@class lunette.trainer
local trainer = {}

---Makes a new trainer with some keys replaced.
---@param arguments { name?: string, epochs?: integer, iterations?: integer, validation_iterations?: integer, initial_lr?: number, weight_decay?: number, optimizer?: "sgd"|"adam"|"adamw"|"adan", amsgrad?: boolean, lr_schedule?: "poly"|"cosine", warmup_epochs?: integer, momentum?: number, nesterov?: boolean, foreground_fraction?: number, oversampling?: "last"|"random"|"matched", deep_supervision?: boolean, mirror_axes?: (integer)[], clip_norm?: number, save_every?: integer, batch_dice?: boolean, benchmark?: boolean, data_loading?: boolean, loss?: lunette.loss, augmentation?: lunette.augmentation|function, schedule?: function, observe?: table }
function trainer:derive(arguments) end

---One trained fold: its log, its folder, and what can be done with it.
---@class lunette.run
---@field status string how far it got: finished
---@field folder string the fold's folder: checkpoints, training curve, validation
---@field model_folder string the folder of all folds of this training
---@field log (any)[] what each epoch came to, as observers see it
---@field split table<string, (string)[]> the cases that trained and that were held out
local run = {}

---Predicts the held-out cases and scores them.
---@param arguments { checkpoint?: "final"|"best"|"latest", probabilities?: boolean }
function run:validate(arguments) end

---Writes a report: scores, training curve, one held-out case with its contours.
---@param folder string where to write report.md and its pictures
function run:report(folder) end

---Draws the training curve.
---@param path string the picture: .png or .svg
function run:plot(path) end

---The trained model, ready to predict.
function run:model() end

---A trained model: its plan, its labels and its folds.
---@class lunette.model
---@field folder string where it lies
---@field configuration string the configuration's name
---@field folds (string)[] the folds that are there
---@field plan lunette.plan the plan it was trained with
---@field labels (integer)[] the label values it knows
local model = {}

---Predicts one case, or every case of a folder.
---@param arguments { input: string, output?: string, probabilities?: boolean, folds?: (any)[], checkpoint?: "final"|"best"|"latest", precision?: "fp32"|"bf16", mirror?: boolean, step?: number }
function model:predict(arguments) end

---The predicted labels of one case.
---@class lunette.prediction
---@field case string the case's identifier
---@field path string the label map's file
---@field labels lunette.volume the label map
---@field probabilities lunette.tensor probabilities per class, when they were kept, else nil
local prediction = {}

---Copies the label map to a file.
---@param path string the file
function prediction:save(path) end

---Draws the labels over the image.
---@param path string the picture: .png or .svg
function prediction:show(path) end

---Several models whose probabilities are combined.
---@class lunette.ensemble
local ensemble = {}

---Predicts one case, or every case of a folder, with all models.
---@param arguments { input: string, output?: string, folds?: (any)[], checkpoint?: "final"|"best"|"latest", precision?: "fp32"|"bf16", mirror?: boolean, step?: number }
function ensemble:predict(arguments) end

---An image or label map with its place in the world; axes are z, y, x.
---@class lunette.volume
---@field path string the file it came from
---@field shape (integer)[] voxels along z, y, x
---@field spacing (number)[] millimetres between voxels along z, y, x
---@field origin (number)[] the first voxel's place: x, y, z in millimetres, LPS
---@field direction (number)[] direction cosines, row by row, LPS
local volume = {}

---Measures the voxels.
function volume:stats() end

---Takes one slice.
---@param arguments { axis?: integer, index: integer }
function volume:slice(arguments) end

---The voxels as a tensor.
function volume:tensor() end

---Draws slices as a picture, with label maps over them when given.
---@param arguments { path: string, overlay?: lunette.volume, reference?: lunette.volume, title?: string }|string
function volume:show(arguments) end

---Writes the volume to an image file; the ending decides the format.
---@param path string the file, such as copy.nii.gz or copy.nrrd
function volume:save(path) end

---Scores of predictions, per case and averaged, named as in summary.json.
---@class lunette.evaluation
---@field foreground_mean table<string, number> the mean over all labels but the background
---@field mean table<string, table<string, number>> the mean over cases, per label
---@field cases (any)[] the scores of each case
local evaluation = {}

---The whole summary as a table.
function evaluation:table() end

---Writes summary.json as nnU-Net does.
---@param path string the file
function evaluation:save(path) end

---An array of numbers.
---@class lunette.tensor
---@field shape (integer)[] the extents, slowest axis first
---@field count integer how many numbers it holds
local tensor = {}

---The sum of all numbers.
function tensor:sum() end

---The mean of all numbers.
function tensor:mean() end

---The smallest number.
function tensor:min() end

---The largest number.
function tensor:max() end

---The number of a tensor that holds one.
function tensor:item() end

---One number by its position, counted from 1 along each axis.
---@param index (integer)[] one position per axis
function tensor:at(index) end

---The same numbers under another shape.
---@param shape (integer)[] the new extents
function tensor:reshape(shape) end

---The numbers as nested tables.
function tensor:table() end

---Writes the tensor to a .npy file.
---@param path string the file
function tensor:save(path) end

---A segmentation network with its weights.
---@class lunette.network
---@field parameter_count integer how many numbers it learns
---@field head_count integer at how many resolutions it answers
---@field parameter_names (string)[] the names of the learnable tensors
local network = {}

---Computes the logits of every resolution, finest first.
---@param arguments { input: lunette.tensor, gradients?: boolean, precision?: "fp32"|"bf16" }|lunette.tensor
function network:forward(arguments) end

---The learnable tensors, for an optimizer.
function network:parameters() end

---One learnable tensor by name.
---@param name string the name, as in net.parameter_names
function network:parameter(name) end

---The learnable tensors of a network.
---@class lunette.parameters
local parameters = {}

---A segmentation loss; losses add, and numbers scale them.
---@class lunette.loss
local loss = {}

---The number that a loss came to.
---@class lunette.loss_value
local loss_value = {}

---The number itself.
function loss_value:item() end

---Sends gradients back to the network's parameters.
function loss_value:backward() end

---Changes parameters along their gradients; lr can be set.
---@class lunette.optimizer
---@field lr number the learning rate
local optimizer = {}

---Limits the norm over all gradients in the next step.
---@param limit? number the largest norm
function optimizer:clip(limit) end

---Changes every parameter along its gradient, and clears the gradients.
function optimizer:step() end
