"""What devices can compute at most, as their makers publish it. Imports no JAX."""

# bfloat16 FLOP/s of a device without sparsity, by JAX's name of it (`device_kind`).
# TPUs: cloud.google.com/tpu/docs/{v4,v5e,v5p,v6e}. GPUs: NVIDIA's data sheets "A100 Tensor Core
# GPU", "H100 Tensor Core GPU" and "H200 Tensor Core GPU"; those of H100 and H200 print twice this,
# with sparsity.
PEAK_FLOPS = {
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5": 459e12,
    "TPU v5p": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "NVIDIA A100-SXM4-40GB": 312e12,
    "NVIDIA A100-SXM4-80GB": 312e12,
    "NVIDIA A100-PCIE-40GB": 312e12,
    "NVIDIA A100 80GB PCIe": 312e12,
    "NVIDIA H100 80GB HBM3": 989e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H100 NVL": 835e12,
    "NVIDIA H200": 989e12,
    "NVIDIA H200 NVL": 835e12,
}
