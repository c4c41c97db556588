using System.Diagnostics.CodeAnalysis;

namespace NanoLora;

/// <summary>A tensor that belongs to a model: it outlives every scope, and trains or is frozen.</summary>
public sealed class Parameter : IDisposable
{
    private Leaf? _leaf;

    /// <summary>
    /// A parameter over the storage of <paramref name="value"/>, frozen until <see cref="Trains"/> is set. The tensor given stays with its scope or the caller.
    /// </summary>
    public Parameter(Tensor value)
    {
        Value = value.Alias();
        Value.Storage.IsWeight = true;
    }

    /// <summary>The values. Kernels read them; only an optimiser or a loader writes.</summary>
    public Tensor Value { get; }

    /// <summary>The path within the model, such as "blocks.0.attn.q.weight"; set by the module that owns it.</summary>
    public string Path { get; internal set; } = "";

    /// <summary>The sizes of the axes.</summary>
    public Shape Shape => Value.Shape;

    /// <summary>The gradient since the last <see cref="ClearGradient"/>, or null.</summary>
    public Tensor? Gradient => _leaf?.Gradient;

    /// <summary>Whether gradients flow here. A frozen parameter has no node, so everything below the first one that trains records nothing.</summary>
    public bool Trains
    {
        get => _leaf is not null;
        set
        {
            if (value == Trains) return;
            if (value && Value.DType != DType.F32)
                throw new InvalidOperationException($"Parameter {Path}: {Value.DType} weights are frozen; widen them with Cast(DType.F32) to train them.");
            _leaf?.Clear();
            Value.Node = _leaf = value ? new Leaf(Shape) : null;
        }
    }

    /// <summary>Gives the gradient back to the pool.</summary>
    public void ClearGradient() => _leaf?.Clear();

    /// <summary>The values as a tensor; null of null.</summary>
    [return: NotNullIfNotNull(nameof(parameter))]
    public static implicit operator Tensor?(Parameter? parameter) => parameter?.Value;

    /// <summary>Lets values and gradient go.</summary>
    public void Dispose()
    {
        _leaf?.Clear();
        Value.Dispose();
    }
}
