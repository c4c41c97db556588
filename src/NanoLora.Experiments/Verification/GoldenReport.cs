using System.Globalization;

namespace NanoLora.Experiments.Verification;

/// <summary>
/// What was found in one golden folder: prints a line per tensor and counts. Areas report tensors in order of computation, so the first that
/// deviates is where to look.
/// </summary>
public sealed class GoldenReport
{
    private readonly TextWriter _output;
    private readonly SortedDictionary<string, int> _missing = new(StringComparer.Ordinal), _skipped = new(StringComparer.Ordinal);
    private string _case = "", _firstOfCase = "";

    internal GoldenReport(string folder, TextWriter output) => (Folder, _output) = (folder, output);

    /// <summary>The folder, as the lines name it.</summary>
    public string Folder { get; }

    /// <summary>Tensors that agree.</summary>
    public int Ok { get; private set; }

    /// <summary>Tensors that deviate, and what else went wrong.</summary>
    public int Failed { get; private set; }

    /// <summary>Cases that need what is not built.</summary>
    public int NotBuilt { get; private set; }

    /// <summary>The first tensor of the folder, in order of computation, that deviates; empty if none does.</summary>
    public string FirstDeviation { get; private set; } = "";

    /// <summary>1 if anything deviates, else 3 if anything is not built, else 0. A folder in which nothing was compared has failed.</summary>
    public int ExitCode => Failed > 0 || Ok + NotBuilt == 0 ? 1 : NotBuilt > 0 ? 3 : 0;

    /// <summary>Begins a case; the tensors that follow are its.</summary>
    public void Case(string name)
    {
        EndCase();
        _case = name;
    }

    /// <summary>Reports one tensor.</summary>
    public void Tensor(string tensor, Shape shape, Comparison found)
    {
        if (found.Ok)
        {
            Ok++;
            Line(tensor, $"error {Number(found.Error)}  tolerance {Number(found.Tolerance)}  ok");
            return;
        }
        var where = found.Reason.Length > 0 ? found.Reason : $"at {Place(found.Index, shape)}: got {Value(found.Got)}, want {Value(found.Want)}";
        Deviates(tensor, where);
        Line(tensor, found.Reason.Length > 0 ? $"FAIL  {where}" : $"error {Number(found.Error)}  tolerance {Number(found.Tolerance)}  FAIL  {where}");
    }

    /// <summary>Compares floats and reports the result.</summary>
    public void Floats(string tensor, Shape shape, ReadOnlySpan<float> got, ReadOnlySpan<float> want, double absolute, double relative = 0) =>
        Tensor(tensor, shape, Comparison.Of(got, want, absolute, relative));

    /// <summary>Reports that something that is no comparison of numbers is as it must be.</summary>
    public void Pass(string what) => Pass("", what);

    /// <summary>The same of one tensor.</summary>
    public void Pass(string tensor, string what)
    {
        Ok++;
        Line(tensor, $"{what}  ok");
    }

    /// <summary>Reports that the case was left out: it needs a data set that is not there.</summary>
    public void Skip(string dataset)
    {
        _skipped[dataset] = _skipped.GetValueOrDefault(dataset) + 1;
        Line("", $"skipped: the data set {dataset} is not there");
    }

    /// <summary>Reports that the case went wrong before it could be compared.</summary>
    public void Fail(string reason)
    {
        Deviates("", reason);
        Line("", $"FAIL  {reason}");
    }

    /// <summary>Reports that the case needs something that is not built.</summary>
    public void Missing(string what)
    {
        NotBuilt++;
        _missing[what] = _missing.GetValueOrDefault(what) + 1;
        Line("", $"not built: {what}");
    }

    /// <summary>The folder in one line.</summary>
    internal string Summary()
    {
        var line = $"{Folder}: {Ok} ok, {Failed} FAIL, {NotBuilt} not built, exit {ExitCode}";
        if (Failed > 0) line += $"; first deviation: {FirstDeviation}";
        else if (Ok + NotBuilt == 0) line += "; nothing was compared";
        if (_missing.Count > 0) line += $"; not built: {Counted(_missing)}";
        return _skipped.Count > 0 ? $"{line}; skipped for want of data: {Counted(_skipped)}" : line;
    }

    private static string Counted(SortedDictionary<string, int> cases) =>
        string.Join(", ", cases.Select(static c => c.Value == 1 ? c.Key : $"{c.Key} ({c.Value} cases)"));

    internal void End() => EndCase();

    private void EndCase()
    {
        if (_firstOfCase.Length > 0) _output.WriteLine($"{Name(_case)}  the first that deviates is {_firstOfCase}");
        _firstOfCase = "";
    }

    private void Deviates(string tensor, string where)
    {
        Failed++;
        var what = tensor.Length > 0 ? $"{tensor} ({where})" : where;
        if (_firstOfCase.Length == 0 && tensor.Length > 0) _firstOfCase = what;
        if (FirstDeviation.Length == 0) FirstDeviation = _case.Length > 0 ? $"{_case}: {what}" : what;
    }

    private void Line(string tensor, string text) => _output.WriteLine(tensor.Length > 0 ? $"{Name(_case)}  {tensor}  {text}" : $"{Name(_case)}  {text}");

    private string Name(string @case) => @case.Length > 0 ? $"{Folder}/{@case}" : Folder;

    private static string Number(double x) => x == 0 ? "0" : x.ToString("0.0e-00", CultureInfo.InvariantCulture);

    private static string Value(double x) => x.ToString("G9", CultureInfo.InvariantCulture);

    // As in [2, 0, 17]: which element of which row.
    private static string Place(int index, Shape shape)
    {
        if (shape.Rank == 0 || shape.LongCount == 0) return "[]";
        var at = new int[shape.Rank];
        for (var axis = shape.Rank - 1; axis >= 0; axis--)
        {
            at[axis] = index % shape[axis];
            index /= shape[axis];
        }
        return $"[{string.Join(", ", at)}]";
    }
}
