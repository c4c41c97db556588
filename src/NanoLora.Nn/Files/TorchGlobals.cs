namespace NanoLora.Nn;

/// <summary>What a call of a global gives.</summary>
internal enum TorchCall { None, OrderedDict, Tensor, Parameter, Size, Device, Encode }

/// <summary>A class or function that a pickle may name: a label, never code. Storages and dtypes carry their element type.</summary>
internal sealed record TorchGlobal(string Name, TorchCall Call = TorchCall.None, bool IsStorage = false, FileDType? DType = null)
{
    /// <summary>The allow-list: the global of that name, or null for everything else in the world.</summary>
    public static TorchGlobal? Find(string module, string name) => All.GetValueOrDefault($"{module}.{name}");

    private static readonly Dictionary<string, TorchGlobal> All = Build(
    [
        new("collections.OrderedDict", TorchCall.OrderedDict),
        new("torch._utils._rebuild_tensor", TorchCall.Tensor),
        new("torch._utils._rebuild_tensor_v2", TorchCall.Tensor),
        new("torch._utils._rebuild_tensor_v3", TorchCall.Tensor),
        new("torch._utils._rebuild_parameter", TorchCall.Parameter),
        new("torch._utils._rebuild_parameter_with_state", TorchCall.Parameter),
        new("torch.Size", TorchCall.Size),
        new("torch.device", TorchCall.Device),
        new("_codecs.encode", TorchCall.Encode),   // bytes, in protocol 2
        Storage("torch.storage.UntypedStorage", null), Storage("torch.UntypedStorage", null),
        Storage("torch.DoubleStorage", FileDType.F64), Storage("torch.FloatStorage", FileDType.F32),
        Storage("torch.HalfStorage", FileDType.F16), Storage("torch.BFloat16Storage", FileDType.BF16),
        Storage("torch.LongStorage", FileDType.I64), Storage("torch.IntStorage", FileDType.I32),
        Storage("torch.ShortStorage", FileDType.I16), Storage("torch.CharStorage", FileDType.I8),
        Storage("torch.ByteStorage", FileDType.U8), Storage("torch.BoolStorage", FileDType.Bool),
        Storage("torch.ComplexFloatStorage", FileDType.C64),
        Type("torch.float64", FileDType.F64), Type("torch.float32", FileDType.F32),
        Type("torch.float16", FileDType.F16), Type("torch.bfloat16", FileDType.BF16),
        Type("torch.int64", FileDType.I64), Type("torch.int32", FileDType.I32), Type("torch.int16", FileDType.I16), Type("torch.int8", FileDType.I8),
        Type("torch.uint64", FileDType.U64), Type("torch.uint32", FileDType.U32), Type("torch.uint16", FileDType.U16), Type("torch.uint8", FileDType.U8),
        Type("torch.bool", FileDType.Bool), Type("torch.complex64", FileDType.C64),
        Type("torch.float8_e4m3fn", FileDType.F8E4M3), Type("torch.float8_e5m2", FileDType.F8E5M2),
        Type("torch.float8_e4m3fnuz", FileDType.F8E4M3Fnuz), Type("torch.float8_e5m2fnuz", FileDType.F8E5M2Fnuz),
        Type("torch.float8_e8m0fnu", FileDType.F8E8M0),
    ]);

    private static TorchGlobal Storage(string name, FileDType? type) => new(name, IsStorage: true, DType: type);

    private static TorchGlobal Type(string name, FileDType type) => new(name, DType: type);

    private static Dictionary<string, TorchGlobal> Build(TorchGlobal[] globals)
    {
        var all = new Dictionary<string, TorchGlobal>(StringComparer.Ordinal);
        foreach (var global in globals) all.Add(global.Name, global);
        return all;
    }
}
