-- nnU-Net's trainers that change the network of the plans.
-- Trainers: nnUNetTrainerBN
local function with_batch_norm(ctx, default)
  local architecture = default()
  local arguments = architecture.arch_kwargs
  arguments.norm_op = ("torch.nn.modules.batchnorm.BatchNorm%dd"):format(#ctx.patch_size)
  arguments.norm_op_kwargs = { eps=1e-5, affine=true }
  return architecture
end
return { lunette.trainer{ name="nnUNetTrainerBN", network=with_batch_norm } }
