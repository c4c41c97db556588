using NanoLora.Experiments;

namespace NanoLora.Fuzz;

/// <summary>Plans of studies.</summary>
public sealed class PlansTarget : FuzzTarget
{
    private string _path = "";

    /// <inheritdoc/>
    protected override IReadOnlyList<string> Write(byte[] input) => [_path = Put("plan.json", input)];

    /// <inheritdoc/>
    protected override void Read()
    {
        var plan = StudyPlan.Read(_path);
        var again = StudyPlan.Parse(plan.ToJson(), _path).ToJson();
        if (again != plan.ToJson()) throw new FindingException("a plan that does not come back as it was written");
    }

    /// <inheritdoc/>
    protected override bool IsRefusal(Exception e) => e is InvalidDataException;
}
