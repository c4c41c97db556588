using System.Reflection;
using ILGPU;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.OpenCL;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace NanoLora;

/// <summary>Every kernel as text, without any device: to read, to assemble, and to see that it compiles.</summary>
public static class GpuKernels
{
    /// <summary>Every kernel, generic ones for each op, element type and size of head.</summary>
    public static IReadOnlyList<MethodInfo> All { get; } =
        [.. typeof(GpuBackend).GetMethods(BindingFlags.Public | BindingFlags.Static)
            .Where(static m => m.Name.EndsWith("Kernel", StringComparison.Ordinal)).SelectMany(Closed)];

    /// <summary>As in "Softmax", "Unary-Silu" or "LargeTile-FromBF16".</summary>
    public static string NameOf(MethodInfo kernel) =>
        string.Join('-', [kernel.Name[..^"Kernel".Length],
            .. kernel.GetGenericArguments().Where(static t => !t.IsPrimitive || t == typeof(int) || t == typeof(short)).Select(Name)]);

    /// <summary>The kernel in the assembly of NVIDIA's GPUs from compute capability 8.0 on.</summary>
    /// <exception cref="GpuException">It does not compile; the message names it.</exception>
    public static string ToPtx(MethodInfo kernel) => Compiled(kernel,
        static context => new PTXBackend(context, CudaArchitecture.SM_80, CudaInstructionSet.ISA_70, null!),
        static compiled => ((PTXCompiledKernel)compiled).PTXAssembly);

    /// <summary>The kernel in OpenCL C 2.0, for a device without extensions.</summary>
    /// <exception cref="GpuException">It does not compile; the message names it.</exception>
    public static string ToOpenCl(MethodInfo kernel) => Compiled(kernel,
        static context => new CLBackend(context, s_plain, CLDeviceVendor.Other, new CLCVersion(2, 0)),
        static compiled => ((CLCompiledKernel)compiled).Source);

    private static readonly CLCapabilityContext s_plain = new(float16: false, float64: false, genericAddressSpace: true,
        int64_Atomics: false, subGroups: false);

    // One that fails spoils its context, so each has one of its own.
    private static string Compiled(MethodInfo kernel, Func<Context, ILGPU.Backends.Backend> open, Func<ILGPU.Backends.CompiledKernel, string> text)
    {
        using var context = GpuContext.CreateForCompiling();
        using var backend = open(context);
        try { return text(backend.Compile(EntryPointDescription.FromExplicitlyGroupedKernel(kernel), KernelSpecialization.Empty)); }
        catch (Exception error) { throw new GpuException($"the kernel {NameOf(kernel)} does not compile: {error.GetBaseException().Message}", error); }
    }

    private static IEnumerable<MethodInfo> Closed(MethodInfo kernel)
    {
        if (!kernel.IsGenericMethodDefinition) return [kernel];
        var constraints = kernel.GetGenericArguments()[0].GetGenericParameterConstraints();
        Type[][] arguments = constraints.Contains(typeof(IUnary)) ? [.. Structs(typeof(IUnary)).Select(static t => new[] { t })]
            : constraints.Contains(typeof(IBinary)) ? [.. Structs(typeof(IBinary))
                .Concat(Structs(typeof(IUnary)).Select(static t => typeof(Gated<>).MakeGenericType(t))).Select(static t => new[] { t })]
            : constraints.Contains(typeof(IHeadTile))
                ? [[typeof(HeadsOf16)], [typeof(HeadsOf32)], [typeof(HeadsOf64)], [typeof(HeadsOf128)], [typeof(HeadsOf256)]]
            : kernel.GetGenericArguments().Length == 1 ? [[typeof(int)], [typeof(short)], [typeof(byte)]]
            : [[typeof(float), typeof(FromF32)], [typeof(ushort), typeof(FromBF16)], [typeof(ushort), typeof(FromF16)], .. Bytes(kernel)];
        return arguments.Select(kernel.MakeGenericMethod);
    }

    // Products read floats of 16 and 32 bits; rows of tables and casts also those of 8.
    private static Type[][] Bytes(MethodInfo kernel) => kernel.Name.StartsWith("Embedding", StringComparison.Ordinal)
        || kernel.Name.StartsWith("Widen", StringComparison.Ordinal)
        ? [[typeof(byte), typeof(FromF8E4M3)], [typeof(byte), typeof(FromF8E5M2)]] : [];

    private static IEnumerable<Type> Structs(Type of) =>
        typeof(Tensor).Assembly.GetTypes().Where(t => t.IsValueType && !t.IsGenericType && of.IsAssignableFrom(t));

    private static string Name(Type type) => type.IsGenericType ? $"{type.Name.Split('`')[0]}-{Name(type.GetGenericArguments()[0])}" : type.Name;
}
